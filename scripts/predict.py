"""Classify images into a CSV file: ``python scripts/predict.py --checkpoint DIR --data FOLDER``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("predict"))
