"""Say what a weight file holds: ``python scripts/inspect_weights.py FILE``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("inspect"))
