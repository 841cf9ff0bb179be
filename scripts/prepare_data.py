"""Pack images as a TFDS data set: ``python scripts/prepare_data.py FOLDER --output DIR``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("prepare"))
