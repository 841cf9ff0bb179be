"""Read a run whole, and say what is damaged: ``python scripts/verify.py RUN``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("verify"))
