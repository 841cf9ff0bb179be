"""``jaxnext verify``: read a run's folder whole, and say what is damaged."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxnext.cli.console import say, warn
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.parser import Parser, arguments_of, given_path
from jaxnext.cli.precision import set_precision_of


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    run: Path


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    about = (
        "Read every checkpoint of a run or of a ported checkpoint, and compare it with its digests; read the files "
        "beside them. The exit status is 1 where something is damaged."
    )
    parser = Parser(invocation.usage("verify"), "RUN", about)
    parser.add_argument("run", nargs="?", help="folder of a run or of a ported checkpoint")
    values = parser.parse(argv)
    run = given_path(values, "run", "give the folder of a run or of a ported checkpoint", "RUN")
    return arguments_of(Arguments, values, run=run)


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status, 1 where something is damaged."""
    arguments = parse(argv, invocation)
    set_precision_of(arguments.run)
    from jaxnext.inference.verify import verify

    return verify(arguments.run, say=say, warn=warn)
