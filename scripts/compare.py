"""Train several configs and compare them: ``python scripts/compare.py --configs baseline fc``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("compare"))
