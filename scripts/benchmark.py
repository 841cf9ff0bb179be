"""Measure against PyTorch: ``python scripts/benchmark.py model|grouped_conv|data|suite --json FILE``; see --help."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Calls the command; returns the exit status."""
    # What is measured is this checkout, also on a machine where it is not installed.
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import command as cli_benchmark

        from jaxnext.cli import main as cli_main
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("jaxnext"):
            raise
        print(f"error: {error.name} is not installed for this Python; the benchmark needs it", file=sys.stderr)
        return 1
    return cli_main.main(cli_benchmark.benchmark, sys.argv[1:], ROOT / "configs")


if __name__ == "__main__":
    sys.exit(main())
