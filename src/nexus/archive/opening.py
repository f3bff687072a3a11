"""Which store a URL names."""

from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from nexus.archive.directory import DirectoryStore
from nexus.archive.stores import Store
from nexus.errors import ArchiveError

CLOUDS: Final = frozenset({"s3", "s3a", "gs", "az", "azure", "abfs", "abfss"})

_FORMS: Final = (
    "write a directory's path, file:///path, s3://bucket/prefix, gs://bucket/prefix "
    "or az://container/prefix"
)


def is_archive_url(text: str) -> bool:
    """Whether this names an archive by URL, not a file by its path."""
    return urlsplit(text).scheme.lower() in CLOUDS | {"file"}


def archive_directory(url: str) -> Path | None:
    """The directory that the URL names; None for a bucket. Raises ArchiveError."""
    check_url(url)
    parts = urlsplit(url)
    if parts.scheme.lower() in CLOUDS:
        return None
    if parts.scheme.lower() == "file":
        return Path(unquote(parts.path))
    return Path(url)


def check_url(url: str) -> None:
    """Raise ArchiveError for what cannot name an archive; it shows no secret."""
    if not url.isprintable():
        raise ArchiveError(f"{url!r} names no archive: it holds control characters")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ArchiveError(f"the archive's URL is none; {_FORMS}") from None
    scheme = parts.scheme.lower()
    if "@" in parts.netloc:
        raise ArchiveError(
            f"the archive's URL {scheme}://… holds a user or password; credentials "
            "belong in the environment (AWS_ACCESS_KEY_ID, GOOGLE_…, AZURE_…)"
        )
    fault = ""
    if scheme == "file":
        fault = _file_fault(parts)
    elif scheme in CLOUDS:
        fault = _bucket_fault(parts)
    elif "://" in url or not url:
        fault = f"is of no kind that is known; {_FORMS}"
    if fault:
        raise ArchiveError(f"archive {url!r}: it {fault}")


def _file_fault(parts: SplitResult) -> str:
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        return "is not on this machine; write file:///path"
    if not unquote(parts.path).isprintable():
        return "holds a control character"
    return _ambiguous(parts)


def _bucket_fault(parts: SplitResult) -> str:
    if not parts.netloc:
        return f"names no bucket; {_FORMS}"
    path = unquote(parts.path)
    if not path.isprintable() or {".", ".."} & set(path.split("/")):
        return (
            "has a part '.' or '..' or a control character in its path; name the "
            "folder itself"
        )
    return _ambiguous(parts)


def _ambiguous(parts: SplitResult) -> str:
    if parts.query or parts.fragment:
        return "has a '?' or '#'; write %3F or %23 where the name has one"
    return ""


def open_store(url: str) -> Store:
    """The store of this URL; raises ArchiveError where there can be none."""
    directory = archive_directory(url)
    if directory is not None:
        return DirectoryStore(directory.expanduser().absolute())
    # Only who archives to a bucket needs the library, which takes 16 MB.
    import nexus.archive.bucket as buckets  # noqa: PLC0415

    return buckets.open_bucket(url)
