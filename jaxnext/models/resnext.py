"""ResNeXt backbone (Xie et al., "Aggregated Residual Transformations", 2017), as torchvision builds it.

Stages carry the paper's numbers: ``stage2`` to ``stage5`` are torchvision's ``layer1`` to ``layer4``.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.models.layers import Conv
from jaxnext.models.norm import BatchNorm, FoldedNorm
from jaxnext.ops.pooling import max_pool
from jaxnext.ops.relu import relu as rectified


def conv_norm(
    part: "Bottleneck | ResNeXt",
    conv: Conv,
    norm: str,
    x: jax.Array,
    *,
    train: bool,
    mask: jax.Array | None,
    residual: jax.Array | None = None,
    relu: bool = True,
) -> jax.Array:
    """A convolution and its batch norm, then the sum with ``residual`` and the ReLU.

    Args:
        part: of the network, which is being called.
        conv: a layer of it.
        norm: name of its norm behind that layer, whole or folded into the kernel as the part's fields say.
        x: ``[N, H, W, C]``.
        train: batch statistics instead of the running ones.
        mask: ``[N]`` of bool that marks real rows, or ``None``.
        residual: ``[N, H', W', features]``; ``None`` adds nothing.
        relu: whether the sum is rectified.

    Returns:
        ``[N, H', W', features]``.
    """
    if part.folded:
        bias = FoldedNorm(conv.features, part.param_dtype, name=norm)()
        return conv(x, bias=bias, residual=residual, relu=relu)
    y = BatchNorm(axis_name=part.axis_name, param_dtype=part.param_dtype, name=norm)(conv(x), train=train, mask=mask)
    if residual is not None:
        y = residual + y
    return rectified(y) if relu else y


class Bottleneck(nn.Module):
    """1x1, grouped 3x3 that carries the stride, 1x1, each with batch norm, and a shortcut around them.

    Attributes:
        width: channels of the 3x3 convolution.
        features: output channels.
        groups: of the 3x3 convolution.
        stride: of the 3x3 convolution and of the shortcut.
        axis_name: mesh axis over which the batch is split, or ``None``.
        param_dtype: of parameters and statistics.
        folded: the norms' scale and statistics are in the convolutions' kernels (``models.folding``).
    """

    width: int
    features: int
    groups: int
    stride: int = 1
    axis_name: str | None = None
    param_dtype: jnp.dtype = jnp.dtype("float32")
    folded: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map ``[N, H, W, C]`` to ``[N, H / stride, W / stride, features]``; ``mask`` ``[N]`` marks real rows."""
        dtype = self.param_dtype

        layer = functools.partial(conv_norm, self, train=train, mask=mask)
        y = layer(Conv(self.width, 1, param_dtype=dtype, name="conv1"), "norm1", x)
        y = layer(Conv(self.width, 3, self.stride, self.groups, param_dtype=dtype, name="conv2"), "norm2", y)
        if self.stride != 1 or x.shape[-1] != self.features:
            shortcut = Conv(self.features, 1, self.stride, param_dtype=dtype, name="shortcut_conv")
            x = layer(shortcut, "shortcut_norm", x, relu=False)
        return layer(Conv(self.features, 1, param_dtype=dtype, name="conv3"), "norm3", y, residual=x)


class ResNeXt(nn.Module):
    """Stem (7x7/2 convolution, batch norm, ReLU, 3x3/2 max-pool) and stages of bottlenecks.

    Every stage but the first halves height and width. The output of the stem and of each stage is sown as the
    intermediate of its name, which costs nothing unless ``intermediates`` is mutable.

    Attributes:
        stage_sizes: bottlenecks in each stage.
        widths: channels of each stage's 3x3 convolutions.
        features: output channels of each stage.
        stem_features: output channels of the 7x7 convolution.
        groups: of the 3x3 convolutions.
        axis_name: mesh axis over which the batch is split, or ``None``.
        param_dtype: of parameters and statistics.
        folded: for inference: the norms' scale and statistics are in the convolutions' kernels (``models.folding``).
        remat: in training, keep only each bottleneck's input for the backward pass and compute the rest again there.
    """

    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    widths: tuple[int, ...] = (128, 256, 512, 1024)
    features: tuple[int, ...] = (256, 512, 1024, 2048)
    stem_features: int = 64
    groups: int = 32
    axis_name: str | None = None
    param_dtype: jnp.dtype = jnp.dtype("float32")
    folded: bool = False
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map normalised images ``[N, H, W, 3]`` to features ``[N, H / 32, W / 32, features[-1]]``."""
        if self.folded and train:
            raise ValueError("folded: expected inference, found train=True")
        stem = Conv(self.stem_features, 7, 2, param_dtype=self.param_dtype, name="stem_conv")
        x = max_pool(conv_norm(self, stem, "stem_norm", x, train=train, mask=mask))
        self.sow("intermediates", "stem", x)
        # Argument 2, counted from self, is train, which is no array.
        kind = nn.remat(Bottleneck, static_argnums=(2,)) if self.remat and train else Bottleneck
        stages = zip(self.stage_sizes, self.widths, self.features, strict=True)
        for stage, (size, width, features) in enumerate(stages, start=2):
            for block in range(1, size + 1):
                stride = 2 if stage > 2 and block == 1 else 1
                name = f"stage{stage}_block{block}"
                bottleneck = kind(
                    width, features, self.groups, stride, self.axis_name, self.param_dtype, self.folded, name=name
                )
                x = bottleneck(x, train, mask)
            self.sow("intermediates", f"stage{stage}", x)
        return x
