"""Read what was written whole, and say what is damaged: ``python scripts/verify.py PATH``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("verify"))
