"""What a file of lists of revoked certificates says."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LIST: Final = re.compile(
    rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Revoked:
    """A bundle holds one list for each CA."""

    named: frozenset[tuple[bytes, int]] = frozenset()
    """Issuer and serial number of each certificate."""
    ends_s: float | None = None
    """When the first of the lists ends, Unix time; None: none of them does."""

    def names(self, certificate: bytes) -> bool:
        """Whether it is on a list; DER, as a connection shows it."""
        if not self.named:
            return False
        from cryptography import x509  # noqa: PLC0415 - 8 MB

        shown = x509.load_der_x509_certificate(certificate)
        return (shown.issuer.public_bytes(), shown.serial_number) in self.named


NOTHING: Final = Revoked()


def read_lists(file: Path) -> Revoked:
    """What the file holds; ValueError or OSError where it cannot be read."""
    from cryptography import x509  # noqa: PLC0415 - 8 MB

    blocks = _LIST.findall(file.read_bytes())
    lists = [x509.load_pem_x509_crl(block) for block in blocks]
    named = frozenset(
        (each.issuer.public_bytes(), one.serial_number)
        for each in lists
        for one in each
    )
    ends = [each.next_update_utc for each in lists if each.next_update_utc]
    return Revoked(named, min(ends).timestamp() if ends else None)
