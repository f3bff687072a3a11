"""Interrupt what runs, from another thread."""

import threading
from collections.abc import Callable
from typing import Any


def interrupted_while(interrupt: Callable[[], object], call: Callable[[], Any]) -> Any:
    """Call, and interrupt until that has ended."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(0.1):
            interrupt()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        return call()
    finally:
        over.set()
        thread.join()
