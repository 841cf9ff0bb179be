"""What commands that compute with a trained checkpoint share: its options, and the classifier."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_type_hints

from jsonargparse import Namespace

from jaxnext.cli.console import warn
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.parser import Parser, check_least, descriptions, given_path
from jaxnext.cli.precision import set_precision_of
from jaxnext.config.sections import Config

if TYPE_CHECKING:
    from jaxnext.inference.classifier import TrainedClassifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedArguments:
    """What every such command is asked for."""

    checkpoint: Path
    which: str
    batch_size: int
    workers: int | None
    compilation_cache: bool | None
    onednn: bool = True


def add_options(parser: Parser) -> None:
    """Add the options of ``TrainedArguments``."""
    parser.option("checkpoint", str | None, "folder of a run or of a ported checkpoint")
    parser.option("which", Literal["best", "last"], "which checkpoint of a run", "best")
    parser.option("batch_size", int, "images computed at a time", 16)
    parser.option("workers", get_type_hints(Config)["workers"], descriptions(Config)["workers"])
    parser.compilation_cache()


def parse_options(parser: Parser, argv: Sequence[str]) -> tuple[Namespace, Path]:
    """Return the values of all options, and the folder of the checkpoint, checked."""
    values = parser.parse(argv)
    checkpoint = given_path(values, "checkpoint", "give the folder of a run or of a ported checkpoint")
    check_least(values, batch_size=1, workers=0)
    return values, checkpoint


@contextlib.contextmanager
def classifier(arguments: TrainedArguments, invocation: Invocation) -> Iterator["TrainedClassifier"]:
    """Open the classifier that is asked for; what it compiles is kept as is asked for."""
    precision = set_precision_of(arguments.checkpoint)
    from jaxnext.cli.compilation import compilation_cache
    from jaxnext.inference.classifier import TrainedClassifier

    with compilation_cache(arguments.compilation_cache, precision, warn, warn, use_onednn=arguments.onednn):
        yield TrainedClassifier(arguments.checkpoint, arguments.which, train_command=invocation.usage("train"))
