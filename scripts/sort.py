"""Put images into folders of their predicted classes; and back: ``python scripts/sort.py RUN --data FOLDER --output DIR``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("sort"))
