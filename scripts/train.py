"""Train a classifier: ``python scripts/train.py --config NAME``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("train"))
