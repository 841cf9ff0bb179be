"""``jaxnext evaluate``: measure a checkpoint on labelled images."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxnext.cli.console import batch_bar, warn
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.machine import cores
from jaxnext.cli.parser import NO_CHECKPOINT, Parser, check_least, given
from jaxnext.cli.paths import optional_path, path
from jaxnext.cli.precision import set_precision_of
from jaxnext.cli.user_folders import folders


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    checkpoint: Path
    which: str
    data: Path | None
    batch_size: int
    workers: int | None
    compilation_cache: bool | None
    onednn: bool = True


def parse(argv: Sequence[str], invocation: Invocation) -> Arguments:
    """Read the options; errors as ``parse`` of ``train``."""
    usage = "--checkpoint DIR [--data FOLDER_OF_CLASS_FOLDERS] [--OPTION VALUE ...]"
    parser = Parser(invocation.usage("evaluate"), usage, "Loss, top-1, top-5 and accuracy of each class.")
    parser.checkpoint()
    parser.compilation_cache()
    parser.option("data", str | None, "folder with a folder for each class; null: the validation images of the run")
    values = parser.parse(argv)
    checkpoint = given(values, "checkpoint", NO_CHECKPOINT)
    check_least(values, batch_size=1, workers=0)
    return Arguments(
        checkpoint=path("--checkpoint", checkpoint),
        which=values["which"],
        data=optional_path("--data", values["data"]),
        batch_size=values["batch_size"],
        workers=values["workers"],
        compilation_cache=values["compilation_cache"],
        onednn=values["onednn"],
    )


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status."""
    arguments = parse(argv, invocation)
    precision = set_precision_of(arguments.checkpoint)
    from jaxnext.cli.compilation import compilation_cache
    from jaxnext.inference import evaluate as evaluation
    from jaxnext.inference.classifier import TrainedClassifier

    kept = folders()
    with compilation_cache(arguments.compilation_cache, precision, warn, warn, use_onednn=arguments.onednn):
        classifier = TrainedClassifier(arguments.checkpoint, arguments.which, train_command=invocation.usage("train"))
        sums = evaluation.evaluate(
            classifier,
            arguments.data,
            batch_size=arguments.batch_size,
            workers=arguments.workers,
            cores=cores(),
            warn=warn,
            progress=batch_bar,
            index=kept.index,
            tfds_folder=kept.tfds,
        )
    print(evaluation.report(sums, classifier.classes))
    return 0
