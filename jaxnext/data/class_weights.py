"""The weights of the classes in a loss."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from jaxnext.config.values import nearest
from jaxnext.errors import UsageError


def class_weights(
    given: str | Sequence[float] | Mapping[str, float], classes: Sequence[str], outputs: int, labels: NDArray[np.int32]
) -> tuple[float, ...] | None:
    """Return a weight for each output of a network.

    Args:
        given: ``none``; ``balanced``; a number for each class, by name or in their order.
        classes: names of the data's classes, which are the first outputs.
        outputs: how many there are.
        labels: of the training images.

    Returns:
        ``None``: 1 each. ``balanced`` is scikit-learn's ``compute_class_weight``: the number of images over the number
        of classes that have some, over the number of the class's images. An output without an image has 1, which only
        label smoothing sees.

    Raises:
        UsageError: a class has no weight, or a weight no class.
    """
    if given == "none":
        return None
    if isinstance(given, str):
        counts = np.bincount(labels, minlength=outputs)
        mean = len(labels) / np.count_nonzero(counts)
        return tuple(mean / count if count else 1.0 for count in counts.tolist())
    if isinstance(given, Mapping):
        for name in given:
            if name not in classes:
                raise UsageError(
                    f"loss.class_weights: expected names of classes, found {name!r}; did you mean "
                    f"{nearest(name, classes)!r}?"
                )
        for name in classes:
            if name not in given:
                raise UsageError(f"loss.class_weights: expected a number for each class, found none for {name!r}")
        given = [given[name] for name in classes]
    if len(given) != len(classes):
        raise UsageError(f"loss.class_weights: expected {len(classes)} numbers, one for each class, found {len(given)}")
    return (*given, *[1.0] * (outputs - len(classes)))
