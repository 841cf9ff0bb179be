"""A trained net, read from the folder of a run or of a ported checkpoint."""

from pathlib import Path

from jaxnext.engine.checkpoint import Meta, read_model
from jaxnext.engine.network import network
from jaxnext.errors import JaxnextError
from jaxnext.models.classifier import Classifier
from jaxnext.types import Variables


def load_trained(checkpoint: Path, which: str, train_command: str) -> tuple[Variables, Meta, tuple[str, ...]]:
    """Read the variables of a net whose head is trained.

    Args:
        checkpoint: folder of a run or of a ported checkpoint.
        which: ``best`` or ``last``.
        train_command: that trains a head, for the error where there is none.

    Returns:
        The variables as NumPy arrays, what the checkpoint says of itself, and its classes.

    Raises:
        JaxnextError: no such checkpoint, one that cannot be read, or one without a trained head.
    """
    variables, meta = read_model(checkpoint, which)
    if "head" not in meta.trained or meta.classes is None:
        raise JaxnextError(
            f"{checkpoint}: expected a trained head, found the parts {', '.join(meta.trained)}; fine-tune it "
            f"with: {train_command} --config fc_cbam --model.weights {checkpoint}"
        )
    return variables, meta, meta.classes


def load_net(checkpoint: Path, which: str) -> tuple[Classifier, Variables]:
    """Read a net for Flax; arguments and errors as ``load_trained``.

    Returns:
        The Linen module, as it was trained, and its variables: ``module.apply(variables, images, train=False)`` are
        the logits of normalised images ``[N, H, W, 3]``.
    """
    variables, meta, classes = load_trained(checkpoint, which, "jaxnext train")
    return network(meta.config.model, len(classes), meta.config.precision), variables
