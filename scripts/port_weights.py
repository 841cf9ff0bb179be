"""Port PyTorch weights: ``python scripts/port_weights.py SOURCE --config NAME --output DIR``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("port"))
