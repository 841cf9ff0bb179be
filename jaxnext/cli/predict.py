"""``jaxnext predict``: write the predicted class of each image to a CSV file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxnext.cli.console import batch_bar, say, warn
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.machine import cores
from jaxnext.cli.parser import NO_CHECKPOINT, Parser, check_least, given
from jaxnext.cli.paths import path
from jaxnext.cli.precision import set_precision_of


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    checkpoint: Path
    which: str
    data: list[Path]
    output: Path
    probabilities: bool
    top_k: int | None
    batch_size: int
    workers: int | None
    keep_extension: bool
    compilation_cache: bool | None
    onednn: bool = True


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "--checkpoint DIR --data FOLDER_OR_FILE ... [--output prediction.csv] [--OPTION VALUE ...]"
    parser = Parser(invocation.usage("predict"), usage, "Write the predicted class of each image to a CSV file.")
    parser.checkpoint()
    parser.compilation_cache()
    parser.add_argument("--data", type=str, nargs="+", action="extend", help="folders of images, and image files")
    parser.option("output", str, "the CSV file", "prediction.csv")
    parser.option("probabilities", bool, "true: a column prob_<class> for each class", False)
    parser.option("top_k", int | None, "also columns label_1, prob_1, ... for this many likeliest classes")
    parser.option("keep_extension", bool, "true: image names keep their file extension", False)
    values = parser.parse(argv)
    checkpoint = given(values, "checkpoint", NO_CHECKPOINT)
    data = given(values, "data", "--data is missing: give a folder of images, or image files")
    check_least(values, top_k=1, batch_size=1, workers=0)
    return Arguments(
        checkpoint=path("--checkpoint", checkpoint),
        which=values["which"],
        data=[path("--data", text) for text in data],
        output=path("--output", values["output"]),
        probabilities=values["probabilities"],
        top_k=values["top_k"],
        batch_size=values["batch_size"],
        workers=values["workers"],
        keep_extension=values["keep_extension"],
        compilation_cache=values["compilation_cache"],
        onednn=values["onednn"],
    )


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status, 1 where an image could not be read."""
    arguments = parse(argv, invocation)
    precision = set_precision_of(arguments.checkpoint)
    from jaxnext.cli.compilation import compilation_cache
    from jaxnext.inference.classifier import TrainedClassifier
    from jaxnext.inference.predict import predict_to_csv

    with compilation_cache(arguments.compilation_cache, precision, warn, warn, use_onednn=arguments.onednn):
        return predict_to_csv(
            TrainedClassifier(arguments.checkpoint, arguments.which, train_command=invocation.usage("train")),
            arguments.data,
            arguments.output,
            probabilities=arguments.probabilities,
            top_k=arguments.top_k,
            batch_size=arguments.batch_size,
            workers=arguments.workers,
            keep_extension=arguments.keep_extension,
            cores=cores(),
            say=say,
            warn=warn,
            progress=batch_bar,
        )
