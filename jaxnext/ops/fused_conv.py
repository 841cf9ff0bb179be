"""Convolution with the bias, the residual sum and the ReLU behind it: what a folded batch norm leaves for inference.

On x86 CPUs oneDNN does all of it in one pass over memory. Elsewhere the parts are written one after the other, for XLA
to fuse.
"""

import jax
import jax.numpy as jnp
from jax import lax

from .cpu import onednn
from .cpu.onednn import Padding
from .grouped_conv import grouped_conv
from .grouped_formulations import with_gradient_of
from .pointwise import pointwise_conv
from .relu import relu as rectified


def conv(x: jax.Array, kernel: jax.Array, *, stride: int, padding: Padding, groups: int) -> jax.Array:
    """Compute a grouped cross-correlation: ``pointwise_conv`` where it is one, else ``grouped_conv``.

    Arguments and result are those of ``grouped_conv``.
    """
    if kernel.shape[:2] == (1, 1) and groups == 1 and padding == ((0, 0), (0, 0)):
        return pointwise_conv(x if stride == 1 else _every(x, stride), kernel[0, 0])
    return grouped_conv(x, kernel, stride=stride, padding=padding, groups=groups)


def _every(x: jax.Array, stride: int) -> jax.Array:
    """Return every so many rows and columns of ``[N, H, W, C]``."""
    return lax.platform_dependent(
        x,
        # XLA puts what is cut out into the product, and its Triton compiler finds no tiles for a cut with steps.
        cuda=lambda x: lax.optimization_barrier(x[:, ::stride, ::stride]),
        default=lambda x: x[:, ::stride, ::stride],
    )


def fused_conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    *,
    stride: int,
    padding: Padding,
    groups: int,
    residual: jax.Array | None = None,
    relu: bool = False,
) -> jax.Array:
    """Compute ``relu(conv(x, kernel) + bias + residual)``, of finite values: oneDNN's ReLU makes zero of NaN.

    Args:
        x: ``[N, H, W, C]``, float32, bfloat16 or float64.
        kernel: ``[kh, kw, C // groups, F]`` of the same dtype.
        bias: ``[F]``, same dtype.
        stride: of both spatial axes.
        padding: zeros before and after, for height and for width.
        groups: divides ``C`` and ``F``.
        residual: ``[N, H', W', F]``, same dtype; ``None`` adds nothing.
        relu: whether the sum is rectified.

    Returns:
        ``[N, H', W', F]``, same dtype.
    """
    others = () if residual is None else (residual,)

    def in_parts(x: jax.Array, kernel: jax.Array, bias: jax.Array, *others: jax.Array) -> jax.Array:
        y = conv(x, kernel, stride=stride, padding=padding, groups=groups) + bias[None, None, None, :]
        y = sum(others, start=y)
        return rectified(y) if relu else y

    def at_once(x: jax.Array, kernel: jax.Array, bias: jax.Array, *others: jax.Array) -> jax.Array:
        residual = others[0] if others else None
        return onednn.convolve(x, kernel, stride, padding, 1, groups, bias=bias, residual=residual, relu=relu)

    refused = onednn.why_unavailable(x.dtype) is not None or min(map(min, padding)) < 0 or not (x.size and kernel.size)
    if refused or not x.dtype == kernel.dtype == bias.dtype == jnp.result_type(*others, x.dtype):
        return in_parts(x, kernel, bias, *others)
    return lax.platform_dependent(x, kernel, bias, *others, cpu=with_gradient_of(at_once, in_parts), default=in_parts)
