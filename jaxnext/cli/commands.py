"""The commands behind ``scripts/``: options read, settings of the process made, one call, errors as one sentence.

Only the ``cli`` files read the process. JAX and everything that needs it are imported inside the commands, so that
``--help`` and mistakes are answered at once.
"""

import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxnext.cli.arguments import (
    TrainArguments,
    parse_evaluate,
    parse_export_weights,
    parse_port_weights,
    parse_predict,
    parse_train,
)
from jaxnext.cli.distributed import together
from jaxnext.cli.main import INTERRUPTED, main
from jaxnext.cli.process import (
    available_memory,
    boot_id,
    cache_folder,
    cores,
    index_folder,
    resume_command,
    say,
    stop_on_interrupt,
    tfds_folder,
    versions,
    warn,
)
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import load_config
from jaxnext.ops.cpu.allocator import FEW_PIXELS, give_back_if_short, keep_freed_memory
from jaxnext.training.processes import Processes


def train(argv: Sequence[str], configs_dir: Path) -> int:
    """Runs ``scripts/train.py``; returns the exit status, 130 where Ctrl-C ended the run."""
    arguments = parse_train(argv, configs_dir)
    keep_freed_memory(os.environ.get("JAX_PLATFORMS"), _pixels(arguments.config))
    _set_precision(arguments.config)
    if arguments.distributed is None:
        return _train(arguments, argv, configs_dir, Processes())
    return together(arguments.distributed, lambda all: _train(arguments, argv, configs_dir, all), main)


def _train(arguments: TrainArguments, argv: Sequence[str], configs_dir: Path, processes: Processes) -> int:
    """This process's part of a training run."""
    import jax

    from jaxnext.cli.compilation import compilation_cache
    from jaxnext.training.environment import RunEnvironment
    from jaxnext.training.fit import fit

    config = arguments.config
    small = _pixels(config) <= FEW_PIXELS
    with (
        stop_on_interrupt() as stop,
        compilation_cache(arguments.compilation_cache, config.precision, warn, small=small) as cache,
    ):
        env = RunEnvironment(
            devices=sorted(jax.devices(), key=lambda device: device.process_index),
            clock=time.perf_counter,
            stop=stop,
            say=say if processes.first else lambda line: None,
            warn=warn,
            cores=cores(),
            show_progress=None if processes.first else False,
            versions=versions(configs_dir.parent),
            resume_command=resume_command(sys.argv[0], argv),
            compilation_cache=cache,
            step_memory=_give_back if jax.default_backend() == "cpu" else lambda size: None,
            index=index_folder(),
            tfds_folder=tfds_folder(),
            decoded=cache_folder() / "decoded",
            boot=boot_id(),
            machine=platform.node(),
            memory=available_memory(),
            processes=processes,
        )
        fit(arguments.config, arguments.output, arguments.resume, env)
        return INTERRUPTED if stop() or processes.stopping else 0


def port_weights(argv: Sequence[str], configs_dir: Path) -> int:
    """Runs ``scripts/port_weights.py``; returns the exit status."""
    arguments = parse_port_weights(argv, configs_dir)
    _set_precision(arguments.config)
    from jaxnext.weights.port import port_weights as port

    port(
        source=arguments.source,
        config=arguments.config,
        output=arguments.output,
        classes=arguments.classes,
        words=arguments.words,
        cache=cache_folder(),
        say=say,
        warn=warn,
    )
    return 0


def predict(argv: Sequence[str]) -> int:
    """Runs ``scripts/predict.py``; returns the exit status, 1 where an image could not be read."""
    arguments = parse_predict(argv)
    precision = _set_precision_of(arguments.checkpoint)
    from jaxnext.cli.compilation import compilation_cache
    from jaxnext.inference.classifier import TrainedClassifier
    from jaxnext.inference.predict import predict_to_csv

    with compilation_cache(arguments.compilation_cache, precision, warn, each=warn):
        return predict_to_csv(
            TrainedClassifier(arguments.checkpoint, arguments.which),
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
            progress=_progress,
        )


def evaluate(argv: Sequence[str]) -> int:
    """Runs ``scripts/evaluate.py``; returns the exit status."""
    arguments = parse_evaluate(argv)
    precision = _set_precision_of(arguments.checkpoint)
    from jaxnext.cli.compilation import compilation_cache
    from jaxnext.inference import evaluate as evaluation
    from jaxnext.inference.classifier import TrainedClassifier

    with compilation_cache(arguments.compilation_cache, precision, warn, each=warn):
        classifier = TrainedClassifier(arguments.checkpoint, arguments.which)
        sums = evaluation.evaluate(
            classifier,
            arguments.data,
            batch_size=arguments.batch_size,
            workers=arguments.workers,
            cores=cores(),
            warn=warn,
            progress=_progress,
            index=index_folder(),
            tfds_folder=tfds_folder(),
        )
    print(evaluation.report(sums, classifier.classes))
    return 0


def export_weights(argv: Sequence[str]) -> int:
    """Runs ``scripts/export_weights.py``; returns the exit status."""
    arguments = parse_export_weights(argv)
    _set_precision_of(arguments.checkpoint)
    from jaxnext.weights.export import export_weights as export

    export(
        arguments.checkpoint,
        arguments.which,
        arguments.output,
        arguments.form,
        arguments.classes,
        say=say,
    )
    return 0


def _progress(batches: Iterable[Any], total: int) -> Iterable[Any]:
    from tqdm import tqdm

    # disable=None: shown on a terminal only.
    return tqdm(batches, total=total, unit="batch", leave=False, disable=None, dynamic_ncols=True)


def _give_back(step: int) -> None:
    give_back_if_short(step, available_memory())


def _pixels(config: Config) -> int:
    """Of a training batch."""
    return config.batch_size * config.data.image_size**2


def _set_precision(config: Config) -> None:
    if config.precision == "float64":
        import jax

        jax.config.update("jax_enable_x64", True)


def _set_precision_of(checkpoint: Path) -> str:
    file = checkpoint / "config.yaml"
    config = load_config(file) if file.is_file() else Config()  # that there is none is said where it is read
    _set_precision(config)
    return config.precision
