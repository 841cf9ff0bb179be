"""``jaxnext inspect``: say what a weight file holds, without porting it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxnext.cli.console import say
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.parser import Parser, arguments_of, given_path
from jaxnext.config.packaged import configs_folder


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    file: Path
    tensors: bool
    """whether every tensor is listed"""


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    about = (
        "List what a weight file holds (keys, tensors, shapes, dtypes, bytes) and which of the configs' nets it fits, "
        "without PyTorch and without running anything in it."
    )
    parser = Parser(invocation.usage("inspect"), "FILE [--tensors true]", about)
    parser.add_argument("file", nargs="?", help="a .pth, .pt, .pt2 or .safetensors file, or the .json index of several")
    parser.option("tensors", bool, "true: a line for every tensor", False)
    values = parser.parse(argv)
    return arguments_of(Arguments, values, file=given_path(values, "file", "give a weight file", "FILE"))


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status."""
    arguments = parse(argv, invocation)
    from jaxnext.weights.contents import contents

    contents(arguments.file, configs_folder(), every=arguments.tensors, say=say)
    return 0
