"""The command line: each command is one module of this folder, thin over the library."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fastxavier import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; without one, the demonstration.

    Returns
    -------
    int
        The exit status: 0, or what the command says; 2 for a wrong argument, or a file that is not
        there or not valid, or no memory left; 130 after Ctrl-C, 141 if the reader of a pipe went.
        After SIGTERM, `init` clears up and exits with 143.
    """
    from fastxavier.cli import bench, demo, info, init, verify

    parser = argparse.ArgumentParser(
        prog="fastxavier", description="Neural-network weights, filled in place."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands (demo, if none is given)")
    for command in (demo, bench, info, init, verify):
        command.add_to(commands)
    parser.set_defaults(run=demo.run, gib=demo.DEFAULT_GIB, threads=None)
    try:
        options = parser.parse_args(arguments)
        result: int = options.run(options)
        sys.stdout.flush()
        return result
    except BrokenPipeError:  # whoever read has read enough
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
