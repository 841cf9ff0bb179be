"""Put images into folders of their predicted classes: ``python scripts/sort.py RUN``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("sort"))
