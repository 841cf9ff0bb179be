"""Train a classifier: ``python scripts/train.py --config NAME``; see ``--help``."""

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Calls the command; returns the exit status."""
    try:
        from jaxnext.cli import commands as cli
        from jaxnext.cli import main as cli_main
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("jaxnext."):
            raise
        install = shlex.join([sys.executable, "-m", "pip", "install", "-e", str(ROOT)])
        print(f"error: {error.name} is not installed for this Python; run {install}", file=sys.stderr)
        return 1
    return cli_main.main(cli.train, sys.argv[1:], ROOT / "configs")


# The processes that decode images import this file again.
if __name__ == "__main__":
    sys.exit(main())
