"""Train in several processes: ``python scripts/launch.py --processes N -- train ...``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("launch"))
