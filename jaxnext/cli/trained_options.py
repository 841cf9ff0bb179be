"""What commands that compute with a trained checkpoint share: its options, and the classifier."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from jsonargparse import Namespace

from jaxnext.cli.console import batch_bar, warn
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.machine import cores
from jaxnext.cli.parser import Parser, check_least, descriptions, given
from jaxnext.cli.paths import path
from jaxnext.cli.precision import set_precision_of_all
from jaxnext.cli.user_folders import folders
from jaxnext.config.choice import NONE, Choice
from jaxnext.config.sections import Config
from jaxnext.errors import UsageError
from jaxnext.inference.threshold import check_threshold
from jaxnext.inference.tta import NO_TTA, TTA

if TYPE_CHECKING:
    from jaxnext.inference.predictor import Predictor


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedArguments:
    """What every such command is asked for."""

    checkpoint: list[Path]
    which: str
    batch_size: int
    workers: int | None
    compilation_cache: bool | None
    image_size: tuple[int, ...] | int | None = None
    onednn: bool = True
    ensemble: Literal["probabilities", "logits", "validation"] = "probabilities"
    tta: Choice = NO_TTA
    temperature: float | Literal["calibrated"] = 1.0


def add_options(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``TrainedArguments``; those of the test-time augmentation that a command line chooses."""
    text = "folder of a run or of a ported checkpoint; of several the mean is taken, classes matched by name"
    parser.add_argument("--checkpoint", type=str, nargs="+", action="extend", help=text)
    add_answering(parser, argv)


def add_answering(parser: Parser, argv: Sequence[str]) -> None:
    """Add them but for the checkpoints."""
    text = (
        "of several checkpoints: mean of probabilities, of logits, or of probabilities weighted by the validation "
        "accuracies on record in the checkpoints that are used"
    )
    parser.option("ensemble", Literal["probabilities", "logits", "validation"], text, "probabilities")
    text = "test-time augmentation, over whose views of an image each net's probabilities are averaged"
    parser.one_of(TTA, text, NONE, argv)
    parser.option("which", Literal["best", "last"], "which checkpoint of a run", "best")
    text = "that logits are divided by; calibrated: what jaxnext calibrate has found"
    parser.option("temperature", float | Literal["calibrated"], text, 1.0)
    add_computing(parser)


def add_threshold(parser: Parser) -> None:
    """Add the option of commands that may leave an image unanswered."""
    text = (
        "least probability of the predicted class; below it the answer is unknown; calibrated: that of jaxnext "
        "calibrate --accuracy, with --temperature calibrated"
    )
    parser.option("threshold", float | Literal["calibrated"] | None, text)


def add_computing(parser: Parser) -> None:
    """Add those of them that say how it is computed."""
    parser.option("batch_size", int, "images computed at a time", 16)
    parser.option("workers", get_type_hints(Config)["workers"], descriptions(Config)["workers"])
    size = "pixels on each side that images are resized to, or [height, width]; null: as in validation"
    parser.option("image_size", int | tuple[int, ...] | None, size)
    parser.compilation_cache()


def parse_options(parser: Parser, argv: Sequence[str], name: str = "--checkpoint") -> tuple[Namespace, dict[str, Any]]:
    """Return the values of all options, checked, and of ``TrainedArguments`` the fields that are no plain options.

    Args:
        parser: that has the options.
        argv: the command line.
        name: of the checkpoints as the user knows them.
    """
    values = parser.parse(argv)
    values["checkpoint"] = values["checkpoint"] or None
    texts = given(values, "checkpoint", "give the folder of a run or of a ported checkpoint", name)
    checkpoint = [path(name, text) for text in texts]
    check_least(values, batch_size=1, workers=0)
    if len(checkpoint) == 1 and values["ensemble"] != "probabilities":
        raise UsageError(f"--ensemble {values['ensemble']}: expected several folders after {name}, found one")
    if len(checkpoint) > 1 and values["temperature"] != 1:
        raise UsageError(f"--temperature: expected one folder after {name}, found {len(checkpoint)}")
    return values, {"checkpoint": checkpoint, "tta": parser.chosen(TTA.key, values)}


def threshold_of(threshold: float | str | None, trained: "Predictor", is_written: bool = True) -> float | None:
    """Return the threshold that is asked for.

    Args:
        threshold: a probability, ``calibrated`` or ``None``.
        trained: the classifier that answers.
        is_written: whether ``unknown`` is written where else a class is.

    Raises:
        UsageError: it is no probability, or a class has the name that is written below it; ``calibrated`` at another
            temperature than that, or where no threshold was chosen.
    """
    if isinstance(threshold, str):
        net = trained.members[0]
        if net.calibration is None:
            raise UsageError(
                f"--threshold {threshold}: expected --temperature calibrated with it, for which it was chosen"
            )
        threshold = net.calibration.threshold
        if threshold is None:
            raise UsageError(
                f"{net.checkpoint}: expected a threshold in what was fitted, found none; run jaxnext calibrate "
                f"{net.checkpoint} --accuracy 0.99, or the accuracy that is wanted"
            )
    if threshold is not None:
        check_threshold(threshold, trained.classes if is_written else ())
    return threshold


def over_images(arguments: TrainedArguments) -> dict[str, Any]:
    """Return how labelled images are gone through: the arguments that ``predict_labelled`` and its like share."""
    kept = folders()
    return {
        "batch_size": arguments.batch_size,
        "workers": arguments.workers,
        "cores": cores(),
        "warn": warn,
        "progress": batch_bar,
        "index": kept.index,
        "tfds_folder": kept.tfds,
    }


@contextlib.contextmanager
def classifier(arguments: TrainedArguments, invocation: Invocation) -> Iterator["Predictor"]:
    """Open the classifier, or the ensemble, that is asked for; what it compiles is kept as is asked for."""
    precision = set_precision_of_all(arguments.checkpoint)
    from jaxnext.cli.compilation import compilation_cache
    from jaxnext.inference.calibration import check_seen
    from jaxnext.inference.classifier import TrainedClassifier
    from jaxnext.inference.ensemble import Ensemble

    command = invocation.usage("train")
    with compilation_cache(arguments.compilation_cache, precision, warn, warn, use_onednn=arguments.onednn):
        size = arguments.image_size
        try:
            if len(arguments.checkpoint) == 1:
                place = arguments.checkpoint[0]
                found = TrainedClassifier(
                    place, arguments.which, train_command=command, image_size=size, temperature=arguments.temperature
                )
                fitted = found.calibration if arguments.temperature == "calibrated" else None
                if fitted is not None:
                    check_seen(fitted, arguments.tta.plain(), size, place)
            else:
                found = Ensemble(
                    arguments.checkpoint,
                    arguments.which,
                    train_command=command,
                    mean=arguments.ensemble,
                    image_size=size,
                )
        except ValueError as error:
            raise UsageError(str(error).replace("data.image_size", "--image_size")) from error
        yield found
