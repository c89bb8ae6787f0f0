"""Run the command line by ``python -m fastxavier``."""

import sys

from fastxavier.cli import main

if __name__ == "__main__":
    sys.exit(main())
