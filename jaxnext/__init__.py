"""Fine-tune ResNeXt image classifiers with PyTorch's ImageNet weights, in JAX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxnext.inference.classifier import TrainedClassifier


def load(checkpoint: str | Path, which: str = "best") -> TrainedClassifier:
    """A trained classifier with ``classes`` and ``predict(paths or arrays)`` → probabilities.

    Args:
        checkpoint: folder of a run or of a ported checkpoint.
        which: ``best`` or ``last``.
    """
    # Imported here so that `import jaxnext` and `--help` do not wait for JAX.
    from jaxnext.inference.classifier import TrainedClassifier

    return TrainedClassifier(Path(checkpoint), which)
