"""ResNet and ResNeXt backbones (He et al., 2016; Xie et al., "Aggregated Residual Transformations", 2017), as
torchvision builds them.

Stages carry the paper's numbers: ``stage2`` to ``stage5`` are torchvision's ``layer1`` to ``layer4``.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.models.blocks import Block, Kind
from jaxnext.models.layers import Conv, conv_norm
from jaxnext.models.norm import BatchNorm
from jaxnext.models.norm_pool import norm_pool
from jaxnext.ops.pooling import max_pool

_BLOCK_KEYS = 1 << 16
"""What the first block folds into the keys; the attention after the backbone folds 0, the head's layers from 1."""


class ResNeXt(nn.Module):
    """Stem (7x7/2 convolution, batch norm, ReLU, 3x3/2 max-pool) and stages of residual blocks.

    Every stage but the first halves height and width. The output of the stem and of each stage is sown as the
    intermediate of its name, which costs nothing unless ``intermediates`` is mutable.

    Attributes:
        stage_sizes: blocks in each stage.
        widths: channels of each stage's 3x3 convolutions.
        features: output channels of each stage.
        stem_features: output channels of the 7x7 convolution.
        groups: of the 3x3 convolutions.
        axis_name: mesh axis over which the batch is split, or ``None``.
        param_dtype: of parameters and statistics.
        remat: in training, keep only each block's input for the backward pass and compute the rest again there.
        block: kind of the blocks.
        block_attention: in every block, each with variables of its own; ``None``: in none.
        frozen: stem and stages that are not trained: in training they compute as in evaluation.
        fused: whether in training norms, sums and ReLUs have one gradient each (``layers.conv_norm``).
    """

    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    widths: tuple[int, ...] = (128, 256, 512, 1024)
    features: tuple[int, ...] = (256, 512, 1024, 2048)
    stem_features: int = 64
    groups: int = 32
    axis_name: str | None = None
    param_dtype: jnp.dtype = jnp.dtype("float32")
    remat: bool = False
    block: Kind = "bottleneck"
    block_attention: nn.Module | None = None
    frozen: tuple[str, ...] = ()
    fused: bool = False

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, mask: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Map normalised images ``[N, H, W, 3]`` to features ``[N, H / 32, W / 32, features[-1]]``."""
        stem = Conv(self.stem_features, 7, 2, param_dtype=self.param_dtype, name="stem_conv")
        norm = BatchNorm(axis_name=self.axis_name, param_dtype=self.param_dtype, name="stem_norm")
        stem_trains = train and "stem" not in self.frozen
        if self.fused and stem_trains and not self.is_initializing():
            x = norm(stem(x), train=True, mask=mask, compute=norm_pool)
        else:
            x = max_pool(conv_norm(stem, norm, x, train=stem_trains, mask=mask))
        self.sow("intermediates", "stem", x)
        # Argument 2, counted from self, is train, which is no array.
        kind = nn.remat(Block, static_argnums=(2,)) if self.remat and train else Block
        stages = zip(self.stage_sizes, self.widths, self.features, strict=True)
        for stage, (size, width, features) in enumerate(stages, start=2):
            for block in range(1, size + 1):
                stride = 2 if stage > 2 and block == 1 else 1
                shape = (self.block, width, features, self.groups, stride)
                number = sum(self.stage_sizes[: stage - 2]) + block - 1
                module = kind(
                    *shape,
                    self._attention(),
                    self.axis_name,
                    self.param_dtype,
                    self.fused,
                    name=f"stage{stage}_block{block}",
                )
                x = module(x, train and f"stage{stage}" not in self.frozen, mask, self._keys(keys, number))
            self.sow("intermediates", f"stage{stage}", x)
        return x

    def _attention(self) -> nn.Module | None:
        # One module given to several blocks would be one set of variables.
        return None if self.block_attention is None else self.block_attention.clone(parent=None, name=None)

    def _keys(self, keys: jax.Array | None, number: int) -> jax.Array | None:
        if keys is None or self.block_attention is None:
            return None
        return jax.vmap(jax.random.fold_in, (0, None))(keys, _BLOCK_KEYS + number)
