"""Write a net for others: ``python scripts/export_weights.py RUN --output model.safetensors``; see ``--help``."""

import sys

from checkout import call

# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(call("export"))
