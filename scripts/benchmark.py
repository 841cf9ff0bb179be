"""Measure, most of it against PyTorch: ``python scripts/benchmark.py PART``; ``--help`` lists the parts."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Call the command; return the exit status."""
    # What is measured is this checkout, also on a machine where it is not installed.
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import command

        return command.main(sys.argv[1:])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("jaxnext", "benchmarks"):
            raise
        print(f"error: {error.name} is not installed for this Python, and this measurement needs it", file=sys.stderr)
        return 1


# The processes that read images import this file again.
if __name__ == "__main__":
    sys.exit(main())
