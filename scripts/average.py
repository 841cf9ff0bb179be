"""Average the weights of several runs: ``python scripts/average.py RUN RUN --output DIR``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("average"))
