"""Where a net looks: Grad-CAM (Selvaraju et al., "Grad-CAM", 2017) and the spatial map of its CBAM, over the image.

Both are computed from what the net sows as intermediates, by programs of their own: the ones that predict have none.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from numpy.typing import NDArray

from jaxnext.compat import XLA_INFERENCE_ON_CPU
from jaxnext.engine.parallel import AXIS, jit_shard_map
from jaxnext.errors import UsageError, printable
from jaxnext.models.classifier import Classifier
from jaxnext.models.summary import variable_shapes
from jaxnext.normalization import normalize
from jaxnext.ops.relu import relu
from jaxnext.types import Variables

if TYPE_CHECKING:
    from jaxnext.inference.classifier import TrainedClassifier
    from jaxnext.inference.predictor import Predictor

Method = Literal["cbam", "gradcam"]
Classes = str | int | Sequence[str | int] | None
"""A class by name or number, one for each image, or ``None``: the predicted ones."""

PREDICTED = -1
"""Instead of the number of a class: the one that the net predicts."""

_WITHOUT_CBAM = "expected a net with model.attention cbam, found one without; gradcam takes any net"


def class_activation_map(
    variables: Variables, features: jax.Array, classes: jax.Array, *, model: Classifier
) -> jax.Array:
    """Return Grad-CAM at what the head is given.

    Each channel weighs the mean over its places of the gradient of the class's logit; of the channels' weighted sum
    what is below zero counts as zero.

    Args:
        variables: of the net.
        features: the head's input, ``[N, H, W, C]``.
        classes: ``[N]`` int32, whose logits are explained.
        model: the net; its head in evaluation mode is all that is differentiated.

    Returns:
        ``[N, H, W]``, at least float32 and at least 0, not scaled.
    """

    def chosen_logits(features: jax.Array) -> jax.Array:
        logits = model.apply(variables, features, method=lambda net, x: net.head(x, train=False))
        return jnp.take_along_axis(logits, classes[:, None], 1).sum()  # pyright: ignore[reportArgumentType]

    dtype = jnp.promote_types(features.dtype, jnp.float32)
    weights = jax.grad(chosen_logits)(features).astype(dtype).mean((1, 2))
    return relu((features.astype(dtype) * weights[:, None, None, :]).sum(-1))


def spatial_map(sown: Mapping[str, Any]) -> jax.Array | None:
    """Return the spatial map that the attention after the last stage has sown, or else that of the last block's.

    Args:
        sown: the collection ``intermediates`` of a whole net.

    Returns:
        ``[N, H, W]``, the attention's own weights; ``None`` where neither has one.
    """
    blocks = {_block(name): part for name, part in sown.get("backbone", {}).items() if "_block" in name}
    last = blocks[max(blocks)].get("attention", {}) if blocks else {}
    for attention in (sown.get("attention", {}), last):
        if "spatial_map" in attention:
            return attention["spatial_map"][0][..., 0]
    return None


def has_spatial_map(model: Classifier) -> bool:
    """Return whether ``cbam`` can be shown of a net; it is traced, and computes nothing."""

    def run(variables: Variables, images: jax.Array) -> jax.Array | None:
        return spatial_map(_logits_and_sown(variables, images, model)[1])

    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    return jax.eval_shape(run, variable_shapes(model), images) is not None


def _block(name: str) -> tuple[int, ...]:
    """The numbers of ``stage5_block3``."""
    return tuple(int(part.removeprefix("stage").removeprefix("block")) for part in name.split("_"))


def maps(
    variables: Variables, images: jax.Array, classes: jax.Array, *, model: Classifier, method: Method
) -> jax.Array:
    """Return a map over each image, bilinearly enlarged to its size.

    It is enlarged as usual, by centres of equal squares. Those of the net's own strides lie half a square further up
    and left: 16 pixels at a stride of 32.

    Args:
        variables: of the net.
        images: uint8 ``[N, H, W, 3]``.
        classes: ``[N]`` int32, for Grad-CAM; ``PREDICTED`` stands for the predicted class.
        model: the net.
        method: ``cbam``: the attention's own weights; ``gradcam``: divided by each image's largest value, unless that
            is 0.

    Returns:
        ``[N, H, W]``, 0 to 1.

    Raises:
        UsageError: ``cbam`` of a net that has no spatial map.
    """
    shown = normalize(images, model.dtype, model.mean, model.std)
    logits, sown = _logits_and_sown(variables, shown, model)
    if method == "cbam":
        small = spatial_map(sown)
        if small is None:
            raise UsageError(f"cbam: {_WITHOUT_CBAM}")
    else:
        wanted = jnp.where(classes < 0, logits.argmax(-1).astype(classes.dtype), classes)
        small = class_activation_map(variables, sown["head_input"][0], wanted, model=model)
    small = small.astype(jnp.promote_types(small.dtype, jnp.float32))
    large = jax.image.resize(small, images.shape[:3], "bilinear")
    if method == "cbam":
        return large
    highest = large.max((1, 2), keepdims=True)
    # XLA may divide by a product with the reciprocal, which is off by a unit.
    return jnp.minimum(large / jnp.where(highest > 0, highest, 1), 1)


def _logits_and_sown(variables: Variables, images: jax.Array, model: Classifier) -> tuple[jax.Array, dict[str, Any]]:
    """Return the logits of normalised images, and the collection ``intermediates``."""
    logits, updated = model.apply(variables, images, train=False, mutable=["intermediates"])
    return logits, updated["intermediates"]  # pyright: ignore[reportReturnType]


def compile_maps(
    model: Classifier, mesh: Mesh, method: Method
) -> Callable[[Variables, jax.Array, jax.Array], jax.Array]:
    """Return ``maps`` over a mesh, compiled on first call."""

    def step(variables: Variables, images: jax.Array, classes: jax.Array) -> jax.Array:
        return maps(variables, images, classes, model=model, method=method)

    step.__name__ = f"{method}_maps"
    split = PartitionSpec(AXIS)
    return jit_shard_map(mesh, step, (PartitionSpec(), split, split), split, XLA_INFERENCE_ON_CPU)


def explain(
    classifier: "Predictor", images: Any, method: Method, classes: Classes, batch_size: int
) -> NDArray[np.float32]:
    """Return maps of images of any kind; see ``Predictor.explain``."""
    net = only_net(classifier, method)
    if method == "cbam" and classes is not None:
        raise UsageError("explain: expected classes with gradcam only: the map of cbam is the same for all of them")
    if isinstance(images, str | Path):
        images = [images]
    numbers, done = class_numbers(classes, net.classes, len(images)), 0
    found = [np.zeros((0, *net.pixels.size), np.float32)]
    for batch in net.shown(images, batch_size):
        found.append(net.maps(batch, numbers[done : done + len(batch)], method, batch_size))
        done += len(batch)
    return np.concatenate(found)


def only_net(classifier: "Predictor", method: str) -> "TrainedClassifier":
    """Return the net of a classifier that is explained.

    Raises:
        UsageError: an ensemble, whose nets each look elsewhere; no such method, or ``cbam`` of a net without it.
    """
    if method not in get_args(Method):
        raise UsageError(f"explain: expected one of {', '.join(get_args(Method))}, found {method!r}")
    net = classifier.only_net("explain", "; explain one at a time")
    if method == "cbam" and not net.has_spatial_map:
        raise UsageError(f"{net.checkpoint}: {_WITHOUT_CBAM}")
    return net


def class_numbers(classes: Classes, names: Sequence[str], count: int) -> NDArray[np.int32]:
    """Return the number of the class that is explained in each image, ``PREDICTED`` where it is the predicted one.

    Args:
        classes: as given.
        names: of the net's classes.
        count: of images.

    Returns:
        int32 ``[count]``.

    Raises:
        UsageError: no such class, or not one for each image.
    """
    if classes is None:
        return np.full(count, PREDICTED, np.int32)
    given = [classes] * count if isinstance(classes, str | int | np.integer) else list(classes)
    if len(given) != count:
        raise UsageError(f"explain: expected classes for {count:,} images, found {len(given):,}")
    numbers = np.empty(count, np.int32)
    for i, wanted in enumerate(given):
        if isinstance(wanted, str) and wanted in names:
            numbers[i] = names.index(wanted)
        elif isinstance(wanted, int | np.integer) and 0 <= wanted < len(names):
            numbers[i] = wanted
        else:
            known = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
            raise UsageError(
                f"explain: expected one of the classes {known} or 0 to {len(names) - 1}, found "
                f"{printable(repr(wanted))}"
            )
    return numbers
