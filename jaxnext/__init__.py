"""Fine-tune ResNeXt image classifiers with PyTorch's ImageNet weights, in JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from jaxnext.errors import UsageError
from jaxnext.version import __version__

if TYPE_CHECKING:
    from jaxnext.cli.from_python import TrainedRun
    from jaxnext.config.sections import Config
    from jaxnext.inference.classifier import TrainedClassifier
    from jaxnext.inference.ensemble import Ensemble, Mean
    from jaxnext.models.classifier import Classifier
    from jaxnext.types import Variables

__all__ = ["__version__", "load", "load_flax", "train"]

# What they need is imported inside the functions, so that `import jaxnext` and `--help` do not wait for JAX.


@overload
def load(
    checkpoint: str | Path,
    which: str = "best",
    ensemble: Mean = "probabilities",
    temperature: float | Literal["calibrated"] = 1.0,
) -> TrainedClassifier: ...
@overload
def load(
    checkpoint: Sequence[str | Path],
    which: str = "best",
    ensemble: Mean = "probabilities",
    temperature: float | Literal["calibrated"] = 1.0,
) -> Ensemble: ...
def load(
    checkpoint: str | Path | Sequence[str | Path],
    which: str = "best",
    ensemble: Mean = "probabilities",
    temperature: float | Literal["calibrated"] = 1.0,
) -> TrainedClassifier | Ensemble:
    """Return a trained classifier with ``classes`` and ``predict(paths or arrays)`` → probabilities.

    Args:
        checkpoint: folder of a run or of a ported checkpoint; or a list of them, of which the mean is predicted.
        which: ``best`` or ``last``.
        ensemble: of a list: the mean of ``probabilities``, of ``logits``, or of probabilities weighted by
            ``validation`` accuracy; see ``jaxnext.inference.ensemble.Ensemble``.
        temperature: of a single one, that its logits are divided by; ``calibrated``: what ``jaxnext calibrate`` found.

    Raises:
        JaxnextError: no such checkpoint, one that cannot be read, or one without a trained head; of several, classes
            that differ.
        UsageError: no such ``ensemble``, or one for a single checkpoint; a ``temperature`` for several.
    """
    from jaxnext.inference.classifier import TrainedClassifier
    from jaxnext.inference.ensemble import Ensemble

    if not isinstance(checkpoint, str | Path):
        if temperature != 1:
            raise UsageError(f"temperature: expected one checkpoint with {temperature!r}, found a list")
        return Ensemble([Path(place) for place in checkpoint], which, mean=ensemble)
    if ensemble != "probabilities":
        raise UsageError(f"ensemble: expected a list of checkpoints with {ensemble!r}, found one")
    return TrainedClassifier(Path(checkpoint), which, temperature=temperature)


def load_flax(checkpoint: str | Path, which: str = "best") -> tuple[Classifier, Variables]:
    """Return a trained net as a Flax Linen module and its variables, for code of your own.

    ``module.apply(variables, images, train=False)`` gives the logits ``[N, classes]`` of images ``[N, H, W, 3]`` whose
    RGB values, 0 to 1, are normalised by ``module.mean`` and ``module.std``, ImageNet's unless the config has others.
    ``load`` does that and more.

    Args:
        checkpoint: folder of a run or of a ported checkpoint.
        which: ``best`` or ``last``.

    Raises:
        JaxnextError: no such checkpoint, one that cannot be read, or one without a trained head.
    """
    from jaxnext.inference.trained import load_net

    return load_net(Path(checkpoint), which)


def train(
    config: Config | str | Path,
    *,
    output: str | Path | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
    stop: Callable[[], bool] = lambda: False,
    **overrides: Any,
) -> TrainedRun:
    """Train a classifier on all devices of this process; ``load(train(...).folder)`` predicts with it.

    It changes no setting of the process: with ``precision="float64"`` JAX's ``jax_enable_x64`` has to be on already,
    programs are kept from one start to the next where JAX was told to keep them, and Ctrl-C is Python's own.

    Args:
        config: name of one that comes with the package, path of a .yaml file, or a ``Config``.
        output: folder of the run; ``None``: ``runs/`` and the name of the config.
        resume: go on with what the folder holds, or start where it holds nothing.
        say: shows a line.
        stop: asked at each step whether to save and end.
        **overrides: settings by their key: ``epochs=3``, a section as a mapping, ``optimizer={"learning_rate": 1e-3}``,
            or one of its keys, ``**{"data.path": "images"}``.

    Returns:
        The folder of the run, and the records of its epochs: of the best, and of all.

    Raises:
        UsageError: a config or an override that is not right.
        JaxnextError: anything else that the user can put right, in one sentence.
    """
    from jaxnext.cli.from_python import train_here

    return train_here(config, overrides, output=output, resume=resume, say=say, stop=stop)
