"""A signal that would end the program at once unwinds it instead."""

import signal

import pytest

from nexus.cli.signals import signals_unwind


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_and_the_handlers_of_before_come_back(
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)

    with pytest.raises(KeyboardInterrupt), signals_unwind():
        signal.raise_signal(number)

    assert signal.getsignal(number) is before
