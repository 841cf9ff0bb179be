"""The whole network: backbone, attention, head."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.normalization import IMAGENET_MEAN, IMAGENET_STD


class Classifier(nn.Module):
    """Images to class scores.

    What the head is given is sown as the intermediate ``head_input``, what the attention gives as ``attention_output``.

    Attributes:
        backbone: maps ``[N, H, W, 3]`` to a feature map.
        attention: weighs the feature map, or ``None``.
        head: maps the feature map to logits.
        dtype: of the computation between the images and the logits.
        mean: that images, scaled to 0 to 1, are normalised by, for red, green and blue.
        std: the deviation, likewise.
        frozen: parts that are not trained: in training they compute as in evaluation; the backbone has its own.
    """

    backbone: nn.Module
    attention: nn.Module | None
    head: nn.Module
    dtype: jnp.dtype = jnp.dtype("float32")
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    frozen: tuple[str, ...] = ()

    def __call__(
        self, images: jax.Array, *, train: bool, mask: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Classify.

        Args:
            images: normalised, ``[N, H, W, 3]``.
            train: batch statistics (updated in ``batch_stats``, which must be mutable) and dropout.
            mask: ``[N]`` of bool; rows that are ``False`` are padding and stay out of batch statistics.
            keys: ``[N]`` random keys for dropout, one per example.

        Returns:
            logits ``[N, classes]``, at least float32.
        """
        x = self.backbone(images.astype(self.dtype), train=train, mask=mask, keys=keys)
        if self.attention is not None:
            # The head's layers, which count from 1, fold their numbers into the same keys.
            own = None if keys is None else jax.vmap(jax.random.fold_in, (0, None))(keys, 0)
            x = self.attention(x, train=train and "attention" not in self.frozen, mask=mask, keys=own)
            self.sow("intermediates", "attention_output", x)
        self.sow("intermediates", "head_input", x)
        logits = self.head(x, train=train and "head" not in self.frozen, mask=mask, keys=keys)
        return logits.astype(jnp.promote_types(self.dtype, jnp.float32))
