"""The command line: each command is one module of this folder and calls the library."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fastxavier import __version__
from fastxavier._console import printable
from fastxavier._validation import ArgumentError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, `demo` if they name none.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit status: 0, or the command's own; 2 for an argument or a file that is not valid, a
        file that does not exist, or too little memory; 130 after Ctrl-C; 141 if the reader of a
        pipe has closed it. After any other signal that ends a process and can be caught, `init`
        removes what it has begun and exits with 128 plus its number.
    """
    with _any_output():
        try:
            return _run(arguments)
        except BrokenPipeError:  # as of `| head`; no traceback at exit either
            _drop_output()
            return 141
        except KeyboardInterrupt:
            return 130
        except OSError as error:
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        except MemoryError as error:
            message = str(error) or "out of memory"
        except (ValueError, ArgumentError, ImportError, OverflowError, RuntimeError) as error:
            message = str(error)
        print(f"fastxavier: error: {printable(message)}", file=sys.stderr)
        return 2


def _run(arguments: Sequence[str] | None) -> int:
    from fastxavier.cli import bench, demo, info, init, verify

    parser = argparse.ArgumentParser(
        prog="fastxavier", description="Initial weights of neural networks, filled in place."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands (default: demo)")
    for command in (demo, bench, info, init, verify):
        command.add_to(commands)
    parser.set_defaults(run=demo.run, gib=demo.DEFAULT_GIB, threads=None)
    try:
        options = parser.parse_args(arguments)
        result: int = options.run(options)
    finally:
        sys.stdout.flush()  # also after --help, which exits
    return result


@contextmanager
def _any_output() -> Iterator[None]:
    """Let commands print any text wherever stdout and stderr lead, or if they are closed."""
    if sys.stdout is None or sys.stderr is None:
        with open(_null_device(), "w") as nowhere:
            before = sys.stdout, sys.stderr
            sys.stdout, sys.stderr = (nowhere if one is None else one for one in before)
            try:
                with _any_output():
                    yield
            finally:
                sys.stdout, sys.stderr = before
        return
    stdout = sys.stdout
    if not isinstance(stdout, io.TextIOWrapper):  # but what a program has put in its place
        yield
        return
    errors = stdout.errors
    stdout.reconfigure(errors="replace")
    try:
        yield
    finally:
        try:
            stdout.reconfigure(errors=errors)
        except OSError:  # of a full disk, which has been told
            _drop_output()


def _drop_output() -> None:
    """Let what cannot be printed go nowhere, so that Python does not try again at exit."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _null_device() -> int:
    """Open it, also as descriptors 0, 1 and 2 where these are closed; returns one above 2.

    A file that became descriptor 1 would get what any library prints.
    """
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            return descriptor
