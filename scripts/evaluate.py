"""Measure a checkpoint: ``python scripts/evaluate.py --checkpoint DIR``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("evaluate"))
