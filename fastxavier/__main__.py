"""python -m fastxavier: the command line."""

import sys

from fastxavier.cli import main

if __name__ == "__main__":
    sys.exit(main())
