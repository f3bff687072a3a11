"""What went wrong in TLS, in words for the person on call."""

import ssl
from collections.abc import Mapping
from typing import Final

_VERIFICATION: Final[Mapping[int, str]] = {
    3: "nothing tells whether its certificate was revoked: tls.crl_file has no list of "
    "its CA's",
    9: "its certificate is not valid yet; compare the clocks",
    10: "its certificate has expired; issue another one",
    11: "the list of revoked certificates, tls.crl_file, is not valid yet; compare the "
    "clocks",
    12: "the list of revoked certificates, tls.crl_file, has expired; put another one "
    "in its place",
    18: "its certificate is signed by itself alone, not by a CA that is trusted here",
    19: "its certificate is of a CA that is not trusted here",
    20: "its certificate is of a CA that is not trusted here",
    21: "its certificate is of a CA that is not trusted here",
    23: "its certificate was revoked",
    26: "its certificate is not made for this use",
}
"""By OpenSSL's number of a failed verification."""

_OF_ANOTHER_NAME: Final = frozenset({62, 64})

NOT_TLS: Final = "it does not speak TLS on this port"

_REASONS: Final[Mapping[str, str]] = {
    "WRONG_VERSION_NUMBER": NOT_TLS,
    "HTTP_REQUEST": NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": NOT_TLS,
    "RECORD_LAYER_FAILURE": NOT_TLS,
    "UNSUPPORTED_PROTOCOL": "it speaks no TLS of 1.2 or later",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it takes none of the versions 1.2 and 1.3 of TLS",
    "NO_SHARED_CIPHER": "it knows no cipher that is taken here",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it has no certificate, and this port asks "
    "everybody for one",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks everybody for a certificate, and "
    "this side has none",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the CA of this side's certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it says that this side's certificate was "
    "revoked",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it says that this side's certificate has "
    "expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not take this side's certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not take this side's certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it says that this side's certificate is "
    "not made for this use",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it breaks the handshake off; does it ask for a "
    "certificate?",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection within TLS",
}
"""By OpenSSL's name of a reason."""


_PASSING: Final = frozenset(
    {"UNEXPECTED_EOF_WHILE_READING", "APPLICATION_DATA_AFTER_CLOSE_NOTIFY"}
)


def in_words(error: ssl.SSLError) -> str:
    """What the other side did, or is; without OpenSSL's own line where it is known."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OF_ANOTHER_NAME:
            return f"its certificate is for another name ({error.verify_message})"
        known = _VERIFICATION.get(error.verify_code)
        return known or f"its certificate does not hold ({error.verify_message})"
    if isinstance(error, ssl.SSLEOFError):
        return _REASONS["UNEXPECTED_EOF_WHILE_READING"]
    reason = str(getattr(error, "reason", None) or "")
    return _REASONS.get(reason) or f"TLS failed ({reason or error})"


def is_plain(error: ssl.SSLError) -> bool:
    """Whether the other side answers, and speaks no TLS."""
    return in_words(error) == NOT_TLS


def is_passing(error: ssl.SSLError) -> bool:
    """Whether another try may fare better: the other side only went away."""
    reason = getattr(error, "reason", None)
    return isinstance(error, ssl.SSLEOFError) or reason in _PASSING


def reason_of(error: BaseException) -> str:
    """The same for an error that a library has made of one; else its own words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return in_words(cause)
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
