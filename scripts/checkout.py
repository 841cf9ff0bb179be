"""Call a command of this checkout, for the scripts beside this file."""

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def call(command: str) -> int:
    """Call a command with the options of this process; return the exit status."""
    try:
        from jaxnext.cli.main import script

        return script(command)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("jaxnext."):
            raise
        install = shlex.join([sys.executable, "-m", "pip", "install", "-e", str(ROOT)])
        print(f"error: {error.name} is not installed for this Python; run {install}", file=sys.stderr)
        return 1
