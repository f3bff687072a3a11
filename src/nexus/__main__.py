"""`python -m nexus` runs the command line."""

import sys

from nexus.cli import main

if __name__ == "__main__":
    sys.exit(main())
