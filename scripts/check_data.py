"""Look at every image of a data set: ``python scripts/check_data.py DATA``; see ``--help``."""

import sys

from checkout import call

if __name__ == "__main__":
    sys.exit(call("check"))
