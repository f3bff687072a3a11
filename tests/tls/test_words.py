"""OpenSSL's reasons, in words."""

import ssl

import pytest

from nexus.tls.words import NOT_TLS, in_words, is_passing, reason_of


def failed(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] something (_ssl.c:1006)")
    error.reason = reason
    return error


def unverified(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (failed("WRONG_VERSION_NUMBER"), NOT_TLS),
        (failed("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "asks everybody for a certif"),
        (failed("SOMETHING_NEW"), "TLS failed (SOMETHING_NEW)"),
        (ssl.SSLError(1, "odd"), "TLS failed ("),
        (ssl.SSLEOFError(8, "EOF occurred"), "closed the connection within TLS"),
        (unverified(10, "certificate has expired"), "has expired"),
        (unverified(62, "not valid for 'db'"), "another name (not valid for 'db')"),
        (unverified(77, "odd"), "does not hold (odd)"),
    ],
)
def test_the_person_on_call_reads_what_the_other_side_did(
    error: ssl.SSLError, words: str
) -> None:
    assert words in in_words(error)
    assert "_ssl.c" not in in_words(error)


def test_who_only_went_away_may_be_asked_again() -> None:
    assert is_passing(ssl.SSLEOFError(8, "EOF occurred"))
    assert is_passing(failed("UNEXPECTED_EOF_WHILE_READING"))
    assert not is_passing(failed("WRONG_VERSION_NUMBER"))
    assert not is_passing(unverified(10, "expired"))


def test_what_a_library_has_made_of_it_is_told_in_the_same_words() -> None:
    def wrapped(error: Exception) -> Exception:
        made = ConnectionError("odd")
        made.__cause__ = error
        return made

    assert reason_of(wrapped(failed("WRONG_VERSION_NUMBER"))) == NOT_TLS
    assert reason_of(wrapped(ValueError("x"))) == "odd"
    assert reason_of(TimeoutError()) == "TimeoutError"
