"""1x1 convolution as a matrix product whose gradients need no transposing copy.

On the CPU XLA runs a 1x1 convolution 1.4 to 2 times faster as a product. JAX differentiates the product by contracting
the output's gradient with the input, in this order, and XLA then writes a transposed copy of the former for the
gradient of every kernel, together a sixth of a training step. The other order needs none. On x86 CPUs with AVX-512
oneDNN computes that product in four fifths of the time.
"""

import jax
from jax import lax

from .cpu import onednn
from .grouped_formulations import with_gradient_of
from .product_precision import product_precision


@jax.custom_vjp
def pointwise_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve as ``torch.nn.functional.conv2d`` with a 1x1 kernel, on the last axis.

    ``jax.vmap`` and second derivatives by ``jax.grad`` or ``jax.jacrev`` work, ``jax.jvp`` and ``jax.hessian`` do not.

    Args:
        x: ``[N, H, W, C]``, any float dtype.
        kernel: ``[C, F]``, same dtype.

    Returns:
        ``[N, H, W, F]``, same dtype.
    """
    return lax.dot_general(x, kernel, (((3,), (0,)), ((), ())), product_precision(x.dtype))


def _forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return pointwise_conv(x, kernel), (x, kernel)


def _backward(residuals: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    dx = lax.dot_general(dy, kernel, (((3,), (1,)), ((), ())), product_precision(dy.dtype))
    return dx, _kernel_gradient(x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1]))


pointwise_conv.defvjp(_forward, _backward)


def _kernel_gradient(x: jax.Array, dy: jax.Array) -> jax.Array:
    if not (x.size and dy.size) or onednn.why_unavailable(x.dtype) is not None or not onednn.multiplies():
        return _product(x, dy)
    return lax.platform_dependent(x, dy, cpu=with_gradient_of(onednn.transposed_product, _product), default=_product)


def _product(x: jax.Array, dy: jax.Array) -> jax.Array:
    return lax.dot_general(x, dy, (((0,), (0,)), ((), ())), product_precision(x.dtype))
