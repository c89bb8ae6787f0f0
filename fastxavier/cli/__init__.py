"""The command line: each command is one module of this folder, thin over the library."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from fastxavier import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; without one, the demonstration."""
    from fastxavier.cli import demo, info

    parser = argparse.ArgumentParser(
        prog="fastxavier", description="Neural-network weights, filled in place."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands (demo, if none is given)")
    demo.add_to(commands)
    info.add_to(commands)
    parser.set_defaults(run=demo.run, gib=demo.DEFAULT_GIB, threads=None)
    options = parser.parse_args(arguments)
    result: int = options.run(options)
    return result
