"""`python -m scripts.verify_release`."""

import sys

from .command import main, make_parser

__all__ = ["main", "make_parser"]

if __name__ == "__main__":
    sys.exit(main())
