"""Signals that end a process, as exceptions, so that `init` removes what it has begun."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["signals_as_exceptions"]

LEFT_ALONE = {
    *("SIGKILL", "SIGSTOP"),  # cannot be caught
    *("SIGCHLD", "SIGCLD", "SIGCONT", "SIGURG", "SIGWINCH", "SIGINFO"),  # do not end a process
    *("SIGTSTP", "SIGTTIN", "SIGTTOU"),  # pause it
    *("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"),  # faults, after which no Python code runs
}


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Let signals raise SystemExit, and Ctrl-C KeyboardInterrupt, instead of ending the process.

    Only the first one raises: a second would interrupt what is done because of the first. A signal
    that is ignored, such as SIGHUP under nohup, or that the program handles itself, stays as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = False

    def end(number: int, frame: object) -> None:
        nonlocal ended
        if ended:
            return
        ended = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    before = {number: signal.getsignal(number) for number in _ending()}
    try:
        for number in before:
            signal.signal(number, end)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ending() -> list[int]:
    """The signals that would end this process now and can be caught."""
    left_alone = {getattr(signal, name) for name in LEFT_ALONE if hasattr(signal, name)}
    unchanged = (signal.SIG_DFL, signal.default_int_handler)
    return sorted(
        number
        for number in signal.valid_signals()
        if number not in left_alone and signal.getsignal(number) in unchanged
    )
