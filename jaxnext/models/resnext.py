"""ResNeXt backbone (Xie et al., "Aggregated Residual Transformations", 2017), as torchvision builds it.

Stages carry the paper's numbers: ``stage2`` to ``stage5`` are torchvision's ``layer1`` to ``layer4``.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.models.layers import Conv, conv_norm
from jaxnext.models.norm import BatchNorm
from jaxnext.ops.pooling import max_pool


class Bottleneck(nn.Module):
    """1x1, grouped 3x3 that carries the stride, 1x1, each with batch norm, and a shortcut around them.

    Attributes:
        width: channels of the 3x3 convolution.
        features: output channels.
        groups: of the 3x3 convolution.
        stride: of the 3x3 convolution and of the shortcut.
        axis_name: mesh axis over which the batch is split, or ``None``.
        param_dtype: of parameters and statistics.
    """

    width: int
    features: int
    groups: int
    stride: int = 1
    axis_name: str | None = None
    param_dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map ``[N, H, W, C]`` to ``[N, H / stride, W / stride, features]``; ``mask`` ``[N]`` marks real rows."""
        conv = functools.partial(Conv, param_dtype=self.param_dtype)
        norm = functools.partial(BatchNorm, axis_name=self.axis_name, param_dtype=self.param_dtype)
        layer = functools.partial(conv_norm, train=train, mask=mask)

        y = layer(conv(self.width, 1, name="conv1"), norm(name="norm1"), x)
        y = layer(conv(self.width, 3, self.stride, self.groups, name="conv2"), norm(name="norm2"), y)
        if self.stride != 1 or x.shape[-1] != self.features:
            shortcut = conv(self.features, 1, self.stride, name="shortcut_conv")
            x = layer(shortcut, norm(name="shortcut_norm"), x, relu=False)
        return layer(conv(self.features, 1, name="conv3"), norm(name="norm3"), y, residual=x)


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
        remat: in training, keep only each bottleneck's input for the backward pass and compute the rest again there.
    """

    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    widths: tuple[int, ...] = (128, 256, 512, 1024)
    features: tuple[int, ...] = (256, 512, 1024, 2048)
    stem_features: int = 64
    groups: int = 32
    axis_name: str | None = None
    param_dtype: jnp.dtype = jnp.dtype("float32")
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Map normalised images ``[N, H, W, 3]`` to features ``[N, H / 32, W / 32, features[-1]]``."""
        stem = Conv(self.stem_features, 7, 2, param_dtype=self.param_dtype, name="stem_conv")
        norm = BatchNorm(axis_name=self.axis_name, param_dtype=self.param_dtype, name="stem_norm")
        x = max_pool(conv_norm(stem, norm, x, train=train, mask=mask))
        self.sow("intermediates", "stem", x)
        # Argument 2, counted from self, is train, which is no array.
        kind = nn.remat(Bottleneck, static_argnums=(2,)) if self.remat and train else Bottleneck
        stages = zip(self.stage_sizes, self.widths, self.features, strict=True)
        for stage, (size, width, features) in enumerate(stages, start=2):
            for block in range(1, size + 1):
                stride = 2 if stage > 2 and block == 1 else 1
                name = f"stage{stage}_block{block}"
                bottleneck = kind(width, features, self.groups, stride, self.axis_name, self.param_dtype, name=name)
                x = bottleneck(x, train, mask)
            self.sow("intermediates", f"stage{stage}", x)
        return x
