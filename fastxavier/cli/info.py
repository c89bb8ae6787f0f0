"""fastxavier info: version, CPU, instruction set and threads."""

from __future__ import annotations

import argparse
import json
from typing import Any

from fastxavier._info import info


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("info", help="version, CPU, instruction set, threads")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what `fastxavier.info` finds."""
    found = info()
    print(json.dumps(found.asdict()) if options.json else found)
    return 0
