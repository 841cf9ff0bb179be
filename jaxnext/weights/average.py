"""Several trained nets to the net of their mean weights (Wortsman et al., "Model soups", 2022)."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxnext.atomic import whole_folder
from jaxnext.config.yaml_text import dump_config
from jaxnext.data.pixels import Pixels
from jaxnext.data.splits import load_splits
from jaxnext.engine.checkpoint import Checkpoints, Meta, read_model
from jaxnext.engine.run_folder import CONFIG, check_new, write_json, write_text
from jaxnext.errors import JaxnextError
from jaxnext.metrics import Accumulator
from jaxnext.tree import differences, flatten
from jaxnext.types import Variables
from jaxnext.weights.soup_images import SoupImages

Method = Literal["uniform", "greedy"]
"""All nets alike, or those that make the soup better, the best one first."""
RECORD = "average.json"
"""File beside the checkpoint that says what it was made of."""


class Ingredient(NamedTuple):
    """A trained net."""

    place: Path
    variables: Variables
    meta: Meta


class Measured(NamedTuple):
    """How good a net is on the validation images."""

    accuracy: float
    loss: float

    @classmethod
    def of(cls, sums: Accumulator) -> "Measured":
        """Make one of metric sums."""
        return cls(sums.mean("correct"), sums.mean("loss"))


def average(
    places: Sequence[Path],
    which: str,
    method: Method,
    output: Path,
    *,
    path: str | None = None,
    batch_size: int,
    workers: int | None,
    cores: int,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    bar: Callable[[int], Any],
    index: Path | None = None,
    tfds_folder: str | None = None,
) -> Meta:
    """Write a checkpoint with the mean weights of several runs. The folder appears whole or not at all.

    Batch-norm statistics are computed anew over the training images, for those of the mean weights are not the mean of
    the statistics. Each net and the soup are measured on the validation images.

    Args:
        places: folders of runs, two or more.
        which: ``best`` or ``last``.
        method: ``uniform``, or ``greedy``: nets are added from the most accurate on, and stay where the validation
            accuracy does not fall. A soup of one net is that net.
        output: folder that receives the checkpoint.
        path: of the images, where they are elsewhere than the first run's config says.
        batch_size: validation images at a time.
        workers: processes that decode; ``None`` chooses.
        cores: processor cores.
        say: shows a line to the user.
        warn: the same, for a warning.
        bar: gives a progress bar over so many images.
        index: folder that keeps the listings of image folders; ``None``: they are not kept.
        tfds_folder: where data sets of TFDS are unless the run's config says.

    Returns:
        what the checkpoint says of itself.

    Raises:
        JaxnextError: a checkpoint that cannot be read, or is of another net, other classes, pixels or validation images
            than the first; images that are not those of the runs; an image that cannot be read.
    """
    check_new(output)
    nets = read_ingredients(places, which)
    first = nets[0].meta
    data = first.config.data if path is None else dataclasses.replace(first.config.data, path=path)
    config = dataclasses.replace(first.config, data=data)
    splits = load_splits(data, config.seed, index, tfds_folder)
    for line in splits.warnings:
        warn(line)
    frozen = config.model.frozen(config.epochs)
    images = SoupImages(config, splits, frozen, batch_size=batch_size, workers=workers, cores=cores, warn=warn, bar=bar)
    if splits.classes != first.classes or first.validation not in (None, images.validation):
        raise JaxnextError(
            f"{data.path or data.source.type}: expected the classes and validation images of {places[0]}, found others"
        )
    alone = []
    for net in nets:
        alone.append(Measured.of(images.measure(net.variables)))
        say(f"{net.place}: validation {_figures(alone[-1])}")
    soup = uniform_soup if method == "uniform" else greedy_soup
    variables, found, used = soup(nets, alone, images, say)
    best = max(alone, key=lambda each: each.accuracy)
    say(f"soup of {len(used)} of {len(nets)}: validation {_figures(found)}; the best net alone {_figures(best)}")
    meta = dataclasses.replace(first, val_accuracy=found.accuracy)
    runs = [
        {"run": str(net.place), "val_accuracy": each.accuracy, "val_loss": each.loss, "used": i in used}
        for i, (net, each) in enumerate(zip(nets, alone, strict=True))
    ]
    record = {"method": method, "which": which, "val_accuracy": found.accuracy, "val_loss": found.loss, "runs": runs}
    with whole_folder(output, "the checkpoint") as folder:
        with Checkpoints(folder) as checkpoints:
            checkpoints.save_model("best", meta.epoch, variables, meta)
        write_text(folder / CONFIG, dump_config(meta.config))
        write_json(folder / RECORD, record)
    say(f"{output}: written")
    return meta


def read_ingredients(places: Sequence[Path], which: str) -> list[Ingredient]:
    """Read nets that can be averaged.

    Raises:
        JaxnextError: as ``average``.
    """
    nets = [Ingredient(place, *read_model(place, which)) for place in places]
    first = nets[0]
    for net in nets:
        if net.meta.classes is None or "head" not in net.meta.trained:
            raise JaxnextError(
                f"{net.place}: expected a trained net, found the parts {', '.join(net.meta.trained)} alone"
            )
        _check_alike(first, net)
    return nets


def _check_alike(first: Ingredient, other: Ingredient) -> None:
    """Raise where the mean of two nets would be no net, or one that was not measured."""
    shapes = [{path: np.asarray(leaf) for path, leaf in flatten(net.variables).items()} for net in (first, other)]
    if found := differences(*shapes):
        more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
        raise JaxnextError(f"{other.place}: expected the net of {first.place}; {found[0]}{more}")
    for what, of in _ALIKE.items():
        wanted, there = of(first.meta), of(other.meta)
        if wanted != there:
            raise JaxnextError(f"{other.place}: expected the {what} of {first.place}, {wanted}, found {there}")


_ALIKE: dict[str, Callable[[Meta], Any]] = {
    "classes in the same order": lambda meta: list(meta.classes or ()),
    "precision": lambda meta: meta.config.precision,
    "normalisation": lambda meta: (meta.config.model.mean, meta.config.model.std),
    "block": lambda meta: (meta.config.model.block, meta.config.model.groups),
    "parts": lambda meta: [
        {"type": choice.type, **choice.options, "dropout": None}
        for choice in (meta.config.model.block_attention, meta.config.model.attention, meta.config.model.head)
    ],
    "pixels": lambda meta: Pixels.of(meta.config.data).to_json(),
    "validation images": lambda meta: meta.validation,
}
"""What has to be the same, beside the leaves; dropout does not, as the soup is not trained."""


def mean(trees: Sequence[Variables]) -> Variables:
    """Return the mean of each leaf, computed in float64 and rounded once; of whole numbers the largest.

    Args:
        trees: of the same structure, NumPy arrays.
    """

    def leaf(*arrays: Any) -> np.ndarray:
        first = np.asarray(arrays[0])
        if first.dtype.kind == "i":
            return np.max(arrays, axis=0).astype(first.dtype)
        total = np.zeros(first.shape, np.float64)
        for array in arrays:
            total += np.asarray(array, np.float64)
        return (total / len(arrays)).astype(first.dtype)

    return jax.tree.map(leaf, *trees)


def uniform_soup(
    nets: Sequence[Ingredient], alone: Sequence[Measured], images: SoupImages, say: Callable[[str], None]
) -> tuple[Variables, Measured, list[int]]:
    """Return the mean of all nets, how good it is, and the numbers of the nets that are in it."""
    del alone, say
    variables = images.recalibrated(mean([net.variables for net in nets]))
    return variables, Measured.of(images.measure(variables)), list(range(len(nets)))


def greedy_soup(
    nets: Sequence[Ingredient], alone: Sequence[Measured], images: SoupImages, say: Callable[[str], None]
) -> tuple[Variables, Measured, list[int]]:
    """Return the same of the nets that, tried from the most accurate on, do not make it less accurate."""
    # Of equals the first comes first.
    best, *others = sorted(range(len(nets)), key=lambda i: -alone[i].accuracy)
    variables, found, used = nets[best].variables, alone[best], [best]
    for i in others:
        tried = images.recalibrated(mean([nets[k].variables for k in (*used, i)]))
        measured = Measured.of(images.measure(tried))
        kept = measured.accuracy >= found.accuracy
        say(f"with {nets[i].place}: {_figures(measured)}; {'kept' if kept else 'left out'}")
        if kept:
            variables, found, used = tried, measured, [*used, i]
    return variables, found, sorted(used)


def _figures(measured: Measured) -> str:
    return f"accuracy {measured.accuracy:.2%}, loss {measured.loss:.4f}"
