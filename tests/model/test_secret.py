"""A secret does not show where values are printed."""

from nexus.model.secret import Secret


def test_a_secret_is_text_that_does_not_print_itself() -> None:
    secret = Secret("hush")

    assert secret == "hush"
    assert "hush" not in repr(secret)
    assert "hush" not in f"{[secret]} {secret!r}"
