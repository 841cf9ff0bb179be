"""The options of each command, read into a frozen dataclass."""

import dataclasses
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from jsonargparse import Namespace

from jaxnext.cli.distributed import Distributed
from jaxnext.cli.parser import Parser, choose_config, config_of, no_config
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import config_names, dump_config
from jaxnext.errors import UsageError

_NO_CHECKPOINT = "--checkpoint is missing: give the folder of a run or of a ported checkpoint"
_EXPORT_FORMATS: Final[dict[str, Literal["pth", "safetensors"]]] = {".safetensors": "safetensors", ".pth": "pth"}
_PORTED_KEYS = ("data.image_size", "precision", "model.")
"""Settings that decide what a ported checkpoint is; the others belong to training."""


@dataclasses.dataclass(frozen=True)
class TrainArguments:
    """What ``scripts/train.py`` was asked for."""

    config: Config
    output: Path
    resume: bool
    compilation_cache: bool | None
    distributed: Distributed | None = None


@dataclasses.dataclass(frozen=True)
class PortArguments:
    """What ``scripts/port_weights.py`` was asked for."""

    source: str
    config: Config
    output: Path
    classes: Path | None
    words: tuple[str, ...]
    """The command line without ``--output``."""


@dataclasses.dataclass(frozen=True)
class EvaluateArguments:
    """What ``scripts/evaluate.py`` was asked for."""

    checkpoint: Path
    which: str
    data: Path | None
    batch_size: int
    workers: int | None
    compilation_cache: bool | None


@dataclasses.dataclass(frozen=True)
class PredictArguments:
    """What ``scripts/predict.py`` was asked for."""

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


@dataclasses.dataclass(frozen=True)
class ExportArguments:
    """What ``scripts/export_weights.py`` was asked for."""

    checkpoint: Path
    which: str
    output: Path
    form: Literal["pth", "safetensors"]
    classes: Path | None


def parse_train(argv: Sequence[str], configs_dir: Path) -> TrainArguments:
    """Reads the options of ``scripts/train.py``; the config file first, then the overrides wherever they stand.

    Args:
        argv: The command line without the program's name.
        configs_dir: Folder in which ``--config NAME`` is looked up.

    Raises:
        UsageError: A mistake in the options or in the config file.
        SystemExit: After ``--help`` or ``--print_config``, with status 0.
    """
    choice = choose_config(argv, configs_dir)
    parser = Parser(
        "train.py", "--config NAME_OR_PATH [--output DIR] [--resume auto] [--KEY VALUE ...]", "Train a classifier."
    )
    parser.option("config", str, f"{config_names(configs_dir)}, or the path of a .yaml file")
    parser.option("output", str | None, "folder of the run; null: runs/ and the name of the config")
    parser.option("resume", Literal["auto"] | None, "auto: go on from the last checkpoint of --output, if there is one")
    parser.compilation_cache()
    parser.option("distributed", bool, "true: one of several processes that the cluster starts and connects", False)
    parser.option(
        "coordinator_address", str | None, "HOST:PORT of process 0, where several processes are started by hand"
    )
    parser.option("num_processes", int | None, "their number")
    parser.option("process_id", int | None, "which of them this is, from 0")
    parser.add_argument("--print_config", action="store_true", help="print the whole config as YAML and stop")
    parser.settings(choice[1] if choice else Config())
    values = parser.parse(argv)
    name, _ = choice or no_config(configs_dir)
    config = config_of(values)
    if values["print_config"]:
        print(dump_config(config), end="")
        raise SystemExit(0)
    return TrainArguments(
        config,
        _path("--output", values["output"] or f"runs/{name}"),
        resume=values["resume"] == "auto",
        compilation_cache=values["compilation_cache"],
        distributed=_distributed(values),
    )


def parse_port_weights(argv: Sequence[str], configs_dir: Path) -> PortArguments:
    """Reads the options of ``scripts/port_weights.py``; arguments and errors as ``parse_train``."""
    choice = choose_config(argv, configs_dir)
    usage = "SOURCE --config NAME_OR_PATH --output DIR [--classes FILE_OR_FOLDER] [--KEY VALUE ...]"
    parser = Parser("port_weights.py", usage, "Port PyTorch weights.")
    parser.add_argument(
        "source",
        nargs="?",
        help="a state dict in a .pth, .pt or .safetensors file, or a name to download: imagenet1k_v1, imagenet1k_v2",
    )
    parser.option("config", str, f"{config_names(configs_dir)}, or the path of a .yaml file")
    parser.option("output", str | None, "folder that receives the checkpoint")
    parser.option("classes", str | None, "text file with a class name a line, or a folder with a folder for each class")
    parser.settings(choice[1] if choice else Config(), only=_PORTED_KEYS)
    values = parser.parse(argv)
    _, base = choice or no_config(configs_dir)
    source = _given(values, "source", "SOURCE is missing: give a .pth, .pt or .safetensors file, or imagenet1k_v2")
    output = _given(values, "output", "--output is missing: give the folder that receives the checkpoint")
    _path("SOURCE", source)
    return PortArguments(
        source, config_of(values, base), _path("--output", output), _optional_path(values, "classes"), _words(argv)
    )


def parse_predict(argv: Sequence[str]) -> PredictArguments:
    """Reads the options of ``scripts/predict.py``; errors as ``parse_train``."""
    usage = "--checkpoint DIR --data FOLDER_OR_FILE ... [--output prediction.csv] [--OPTION VALUE ...]"
    parser = Parser("predict.py", usage, "Write the predicted class of each image to a CSV file.")
    parser.checkpoint()
    parser.compilation_cache()
    parser.add_argument("--data", type=str, nargs="+", action="extend", help="folders of images, and image files")
    parser.option("output", str, "the CSV file", "prediction.csv")
    parser.option("probabilities", bool, "true: a column prob_<class> for each class", False)
    parser.option("top_k", int | None, "also columns label_1, prob_1, ... for this many likeliest classes")
    parser.option("keep_extension", bool, "true: image names keep their file extension", False)
    values = parser.parse(argv)
    checkpoint = _given(values, "checkpoint", _NO_CHECKPOINT)
    data = _given(values, "data", "--data is missing: give a folder of images, or image files")
    _check_ranges(values, "top_k", "batch_size")
    return PredictArguments(
        checkpoint=_path("--checkpoint", checkpoint),
        which=values["which"],
        data=[_path("--data", path) for path in data],
        output=_path("--output", values["output"]),
        probabilities=values["probabilities"],
        top_k=values["top_k"],
        batch_size=values["batch_size"],
        workers=values["workers"],
        keep_extension=values["keep_extension"],
        compilation_cache=values["compilation_cache"],
    )


def parse_evaluate(argv: Sequence[str]) -> EvaluateArguments:
    """Reads the options of ``scripts/evaluate.py``; errors as ``parse_train``."""
    usage = "--checkpoint DIR [--data FOLDER_OF_CLASS_FOLDERS] [--OPTION VALUE ...]"
    parser = Parser("evaluate.py", usage, "Loss, top-1, top-5 and accuracy of each class.")
    parser.checkpoint()
    parser.compilation_cache()
    parser.option("data", str | None, "folder with a folder for each class; null: the validation images of the run")
    values = parser.parse(argv)
    checkpoint = _given(values, "checkpoint", _NO_CHECKPOINT)
    _check_ranges(values, "batch_size")
    return EvaluateArguments(
        checkpoint=_path("--checkpoint", checkpoint),
        which=values["which"],
        data=_optional_path(values, "data"),
        batch_size=values["batch_size"],
        workers=values["workers"],
        compilation_cache=values["compilation_cache"],
    )


def parse_export_weights(argv: Sequence[str]) -> ExportArguments:
    """Reads the options of ``scripts/export_weights.py``; errors as ``parse_train``."""
    usage = "RUN --output FILE.safetensors|FILE.pth [--which best|last] [--classes FILE]"
    parser = Parser("export_weights.py", usage, "Write a checkpoint's weights to a file that PyTorch reads.")
    parser.add_argument("checkpoint", metavar="run", nargs="?", help="folder of a run or of a ported checkpoint")
    parser.option("output", str | None, "the file: .safetensors, or .pth for PyTorch's own format")
    parser.option("which", Literal["best", "last"], "which checkpoint of a run", "best")
    parser.option(
        "classes", str | None, "text file that receives the class names, one a line, in the order of the outputs"
    )
    values = parser.parse(argv)
    checkpoint = _given(values, "checkpoint", "RUN is missing: give the folder of a run or of a ported checkpoint")
    output = _path(
        "--output", _given(values, "output", "--output is missing: give a file that ends in .safetensors or .pth")
    )
    if output.suffix not in _EXPORT_FORMATS:
        raise UsageError(f"--output: expected a file that ends in {' or '.join(_EXPORT_FORMATS)}, found {output}")
    classes = _optional_path(values, "classes")
    # Files, not spellings: one may be absolute, or lead over a link.
    if classes is not None and classes.resolve() == output.resolve():
        raise UsageError(f"--classes: expected another file than --output, found {classes}")
    form = _EXPORT_FORMATS[output.suffix]
    return ExportArguments(_path("RUN", checkpoint), values["which"], output, form, classes)


def _path(option: str, text: str) -> Path:
    """A path that the system can look up, whether or not anything is there.

    Raises:
        UsageError: it is too long or has a null character.
    """
    try:
        os.lstat(text)
    except ValueError:
        raise UsageError(f"{option}: expected a path, found one with a null character: {text[:80]!a}") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(
                f"{option}: expected a path that is not too long for the system, found {text[:80]}..."
            ) from None
    return Path(text)


def _optional_path(values: Namespace, key: str) -> Path | None:
    return _path(f"--{key}", values[key]) if values[key] else None


def _words(argv: Sequence[str]) -> tuple[str, ...]:
    """A command line without ``--output``."""
    words, skip = [], False
    for word in argv:
        if not skip and word.partition("=")[0] != "--output":
            words.append(word)
        skip = word == "--output" and not skip
    return tuple(words)


def _given(values: Namespace, key: str, sentence: str) -> Any:
    if values[key] is None:
        raise UsageError(sentence)
    return values[key]


def _check_ranges(values: Namespace, *counts: str) -> None:
    for key, least in [*((key, 1) for key in counts), ("workers", 0)]:
        if values[key] is not None and values[key] < least:
            raise UsageError(f"--{key}: expected at least {least}, found {values[key]}")


def _distributed(values: Namespace) -> Distributed | None:
    """How several processes find each other; ``None`` where this is the only one."""
    names = ("coordinator_address", "num_processes", "process_id")
    given = {name: values[name] for name in names if values[name] is not None}
    if not given:
        return Distributed() if values["distributed"] else None
    if values["distributed"]:
        raise UsageError(f"--distributed true finds out --{next(iter(given))} by itself: give only one of the two")
    missing = [f"--{name}" for name in names if name not in given]
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} missing: several processes need --coordinator_address HOST:PORT, "
            "--num_processes N and --process_id I, or --distributed true"
        )
    host, _, port = given["coordinator_address"].rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 2**16):
        raise UsageError(f"--coordinator_address: expected HOST:PORT, found {given['coordinator_address']}")
    _check_ranges(values, "num_processes")
    if not 0 <= given["process_id"] < given["num_processes"]:
        raise UsageError(f"--process_id: expected 0 to {given['num_processes'] - 1}, found {given['process_id']}")
    return Distributed(**given)
