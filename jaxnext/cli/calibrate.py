"""``jaxnext calibrate``: fit how sure a checkpoint may be: its temperature, and a threshold."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jaxnext.cli.console import say
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.parser import Parser, arguments_of, check_least, given_path
from jaxnext.cli.paths import path
from jaxnext.cli.trained_options import TrainedArguments, add_computing, classifier, over_images
from jaxnext.config.choice import NONE
from jaxnext.errors import UsageError
from jaxnext.inference.tta import TTA


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(TrainedArguments):
    """What the command was asked for."""

    data: list[Path] | None
    accuracy: float | None
    other: list[Path] | None


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "RUN [--accuracy 0.99] [--data FOLDER_OR_ARCHIVE ...] [--other FOLDER ...] [--OPTION VALUE ...]"
    about = (
        "Fit the temperature by which logits are divided so that probabilities are as often right as they say; show "
        "coverage against accuracy. What is found stands in RUN/calibration.json, for --temperature calibrated and "
        "--threshold calibrated of other commands."
    )
    parser = Parser(invocation.usage("calibrate"), usage, about)
    parser.add_argument("checkpoint", metavar="run", nargs="?", help="folder of a run or of a ported checkpoint")
    parser.option("accuracy", float | None, "that images above the threshold shall have; null: no threshold is chosen")
    text = "folders, .zip or .tar files with a folder for each class; null: the validation images of the run"
    parser.add_argument("--data", type=str, nargs="+", action="extend", help=text)
    text = "folders of images of none of the classes: how well the energy of an image tells them apart is measured"
    parser.add_argument("--other", type=str, nargs="+", action="extend", help=text)
    parser.option("which", Literal["best", "last"], "which checkpoint of a run", "best")
    parser.one_of(TTA, "test-time augmentation, for which the temperature is then fitted", NONE, argv)
    add_computing(parser)
    values = parser.parse(argv)
    checkpoint = given_path(values, "checkpoint", "give the folder of a run or of a ported checkpoint", "RUN")
    check_least(values, batch_size=1, workers=0)
    accuracy = values["accuracy"]
    if accuracy is not None and not 0 < accuracy <= 1:
        raise UsageError(f"--accuracy: expected a share above 0 and at most 1, found {accuracy}")
    folders = {
        option: None if values[option] is None else [path(f"--{option}", text) for text in values[option]]
        for option in ("data", "other")
    }
    return arguments_of(
        Arguments,
        values,
        **folders,
        checkpoint=[checkpoint],
        tta=parser.chosen(TTA.key, values),
        ensemble="probabilities",
        temperature=1.0,
    )


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status."""
    arguments = parse(argv, invocation)
    (folder,) = arguments.checkpoint
    with classifier(arguments, invocation) as trained:
        from jaxnext.engine.checkpoint import read_model
        from jaxnext.engine.digests import digest_of
        from jaxnext.inference.calibrate import calibrate, lines
        from jaxnext.inference.calibration import write_calibration

        net = trained.members[0]
        found, table = calibrate(
            net,
            arguments.data,
            arguments.accuracy,
            arguments.other,
            seed=net.meta.config.seed,
            tta=arguments.tta.plain(),
            **over_images(arguments),
        )
        size = list(arguments.image_size) if isinstance(arguments.image_size, tuple) else arguments.image_size
        weights = digest_of(read_model(folder, arguments.which)[0])
        file = write_calibration(
            folder,
            arguments.which,
            dataclasses.replace(found, tta=arguments.tta.plain(), image_size=size, weights=weights),
        )
    print("\n".join(lines(found, table)))
    say(f"{file}: what was found")
    return 0
