"""Answer images by HTTP, and on a page: ``python scripts/serve.py RUN``; see ``--help``."""

import sys

from checkout import call

if __name__ == "__main__":
    sys.exit(call("serve"))
