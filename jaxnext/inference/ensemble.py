"""Several trained classifiers that answer as one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import jax
import numpy as np
from numpy.typing import NDArray

from jaxnext.engine import averaging, parallel
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.predictor import Predictor
from jaxnext.inference.tta import Views

Mean = Literal["probabilities", "logits", "validation"]
"""Of what the mean over the nets is taken; see ``Ensemble``."""

_SHOWN = 5


class Ensemble(Predictor):
    """The mean of several nets, which may differ in all but their classes.

    Each sees the images as its own checkpoint says; those that want the same pixels share the decoded ones. With
    test-time augmentation a net's probabilities are the mean over its views. Of the nets the mean is that of the

    - ``probabilities``, all nets alike;
    - ``logits``, all nets alike: the softmax of the mean of the logarithms of the probabilities, which is that of the
      mean of the logits;
    - probabilities, weighted by ``validation``: each net by the validation accuracy on record in the checkpoint that is
      used, divided by the sum of all; with ``which`` ``best`` the run's best accuracy, with ``last`` that of its last
      whole epoch. Nobody checks that they are of the same images.

    Attributes:
        classes: those of the first checkpoint, in its order; the others' columns are put in that order by name.
        weights: of the nets, in their order; they add up to 1.
    """

    def __init__(
        self,
        checkpoints: Sequence[Path],
        which: str = "best",
        devices: Sequence[parallel.Device] | None = None,
        train_command: str = "jaxnext train",
        mean: Mean = "probabilities",
        image_size: int | tuple[int, ...] | None = None,
    ) -> None:
        """Load the checkpoints.

        Args:
            checkpoints: folders of runs or of ported checkpoints.
            which: ``best`` or ``last``.
            devices: that share each batch; ``None``: all local ones.
            train_command: that trains a head, for the error where there is none.
            mean: ``probabilities``, ``logits`` or ``validation``.
            image_size: of all nets, as ``TrainedClassifier`` has it; ``None``: each its own.

        Raises:
            JaxnextError: as ``TrainedClassifier``; classes that are not those of the first checkpoint; or no validation
                accuracy on record where it is asked for.
            UsageError: no checkpoints, or no such ``mean``.
        """
        if mean not in get_args(Mean):
            raise UsageError(f"ensemble: expected one of {', '.join(get_args(Mean))}, found {mean!r}")
        if not checkpoints:
            raise UsageError("checkpoint: expected the folders of one or more runs, found none")
        self._members = tuple(
            TrainedClassifier(place, which, devices, train_command, image_size) for place in checkpoints
        )
        for place, member in enumerate(self._members):
            member.share_programs(self._members[:place])
        first = self._members[0]
        self.classes = first.classes
        columns = [_columns(member, first) for member in self._members]
        self.weights = _weights(self._members) if mean == "validation" else [1 / len(columns)] * len(columns)
        decodings = list(dict.fromkeys(member.pixels for member in self._members))
        self._decoding = [decodings.index(member.pixels) for member in self._members]
        largest = max(self._members, key=lambda member: member.pixels.bytes)
        self.image_size = largest.image_size
        super().__init__(decodings, devices)

        def combined(answers: Sequence[jax.Array]) -> jax.Array:
            ordered = [answer[:, places] for answer, places in zip(answers, columns, strict=True)]
            if mean == "logits":
                return averaging.mean_of_logits(ordered)
            return averaging.mean_of_probabilities(ordered, self.weights)

        self._combined = averaging.compile_rows(self._mesh, combined)

    @property
    def members(self) -> tuple[TrainedClassifier, ...]:
        """The nets, in the order of the checkpoints."""
        return self._members

    def log_probabilities(self, images: Sequence[jax.Array], views: Views | None) -> jax.Array:
        """Return the logarithms of the probabilities; see ``Predictor``."""
        pairs = zip(self._members, self._decoding, strict=True)
        return self._combined([member.log_probabilities([images[place]], views) for member, place in pairs])


def _columns(member: TrainedClassifier, first: TrainedClassifier) -> NDArray[np.intp]:
    """Return where a net has each of the first one's classes."""
    lacking = [name for name in first.classes if name not in member.classes]
    others = [name for name in member.classes if name not in first.classes]
    if lacking or others:
        found = [f"without {_some(lacking)}"] * bool(lacking) + [f"with {_some(others)}"] * bool(others)
        raise JaxnextError(
            f"{member.checkpoint}: expected the classes of {first.checkpoint}, found them {' and '.join(found)}"
        )
    return np.array([member.classes.index(name) for name in first.classes])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{', '.join(map(repr, names[:_SHOWN]))}{more}"


def _weights(members: Sequence[TrainedClassifier]) -> list[float]:
    """Return each net's share of the sum of the validation accuracies."""
    accuracies = []
    for member in members:
        if member.meta.val_accuracy is None:
            raise JaxnextError(
                f"{member.checkpoint}: expected a validation accuracy on record to weigh it by, found none; "
                "take the mean of probabilities or of logits"
            )
        accuracies.append(member.meta.val_accuracy)
    if not sum(accuracies):
        raise JaxnextError(
            f"{members[0].checkpoint}: expected a validation accuracy above 0 of some net, found 0 of all; "
            "take the mean of probabilities or of logits"
        )
    return [accuracy / sum(accuracies) for accuracy in accuracies]
