"""`python -m idpl`."""

import sys

from idpl.command import main

if __name__ == "__main__":
    sys.exit(main())
