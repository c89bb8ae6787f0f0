"""The command line: each command is one module of this folder and calls the library."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fastxavier import __version__


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
        pipe has closed it. After SIGTERM, `init` removes what it has begun and exits with 143.
    """
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
        sys.stdout.flush()
        return result
    except BrokenPipeError:  # as of `| head`; no traceback at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except MemoryError as error:
        message = str(error) or "out of memory"
    except (ValueError, ImportError, OverflowError, RuntimeError) as error:
        message = str(error)
    print(f"fastxavier: error: {message}", file=sys.stderr)
    return 2
