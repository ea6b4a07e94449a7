"""`python -m snapshotter.daemon` is the server.

Its worker processes import the main program anew, as Python's `spawn` has it, unless that is such a
`__main__`: so they do not load what only the server needs (half a second and 60 MB each).
"""

import sys

from snapshotter.daemon.server import main

if __name__ == "__main__":
    sys.exit(main())
