"""Find the images of a folder that are most like some others: ``python scripts/similar.py RUN``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("similar"))
