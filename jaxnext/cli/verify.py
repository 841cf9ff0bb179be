"""``jaxnext verify``: read a run, a packed data set, a cache or an export whole, and say what is damaged."""

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

    path: Path


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    about = (
        "Read a run or a ported checkpoint, a packed data set, a decoded cache or an exported net whole, and compare "
        "it with its digests. The exit status is 1 where something is damaged."
    )
    parser = Parser(invocation.usage("verify"), "PATH", about)
    text = "folder of a run, a ported checkpoint, packed data or a cache; exported file or folder"
    parser.add_argument("path", nargs="?", help=text)
    values = parser.parse(argv)
    path = given_path(values, "path", "give the folder of a run, of packed data or of a cache, or an export", "PATH")
    return arguments_of(Arguments, values, path=path)


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status, 1 where something is damaged."""
    arguments = parse(argv, invocation)
    set_precision_of(arguments.path)
    from jaxnext.inference.verify import verify

    return verify(arguments.path, say=say, warn=warn)
