"""Call a function in a fresh process: what went before must not count as its own."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from nexus.cli.outcome import NotDoneError
from nexus.cli.signals import signals_unwind

Answer = TypeVar("Answer")


def apart(what: str, call: Callable[..., Answer], *arguments: object) -> Answer:
    """What `call` returns or why it was not done, from a process of its own.

    Whatever ends this one unwinds that one. Raises NotDoneError, also where the process
    ended without an answer; then it has said why on standard error.
    """
    fresh = multiprocessing.get_context("spawn")
    told, tell = fresh.Pipe(duplex=False)
    process = fresh.Process(target=_call_and_tell, args=(tell, call, arguments))
    process.start()
    tell.close()
    try:
        answer: Answer | NotDoneError = told.recv()
    except EOFError:
        process.join()
        answer = NotDoneError(
            f"the process for {what} ended with status {process.exitcode}, and said "
            "above what was wrong"
        )
    except BaseException:
        process.terminate()
        raise
    finally:
        told.close()
        process.join()
    if isinstance(answer, NotDoneError):
        raise answer
    return answer


def _call_and_tell(
    tell: "Connection[object, object]", call: Callable[..., object], arguments: object
) -> None:
    # A terminal's Ctrl-C reaches both: the one who asked passes it on, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert isinstance(arguments, tuple), "as `apart` has packed them"
    with signals_unwind():
        try:
            answer = call(*arguments)
        except NotDoneError as error:
            tell.send(error)
        else:
            tell.send(answer)
