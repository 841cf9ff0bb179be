"""Grouped convolution with a gradient of its own, computed in the way that suits the machine.

XLA has no good backward pass for ``feature_group_count > 1`` on the CPU (jax#13800): 4.7 s for one gradient at
56x56x128 with 32 groups, where PyTorch takes 11 ms. Here forward pass, gradient of the input and gradient of the
kernel are each computed by one of the formulations in ``grouped_formulations``, chosen by ``choose``. What was
measured is in README.md beside this file. Nothing of this project outside of this folder is needed.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .cpu import onednn
from .cpu.onednn import Padding
from .grouped_formulations import Formulation, input_gradient, parts
from .packed_conv import Geometry
from .strided_gradient import applies, strided_input_gradient

__all__ = ["Formulation", "Padding", "Plan", "choose", "grouped_conv"]

DTYPES = ("float32", "bfloat16", "float64")
"""Those that the tests compare with XLA's own convolution."""


class Plan(NamedTuple):
    """The names of the formulations that compute the three parts."""

    forward: Formulation
    input_gradient: Formulation
    kernel_gradient: Formulation


# What ``choose`` goes by where oneDNN is not used on a CPU. Forward and backward in ms, 3x3 unless said, batch 4, the
# least of up to ten calls in turn. "spare", "packed" and "lanes" are ``spare32``, ``packed32`` and ``lanes``, with the
# kernel's gradient of ``packed32``; "nat." is ``native``. Two cores of an AMD EPYC with AVX-512 and other work beside,
# jax 0.10.2, Python 3.11.7, 2026-11-24. The other work favours what runs on one thread, "packed": between it and the
# others only a factor of more than two means something.
#
#                                            float32                bfloat16               float64
#                                      spare packed lanes nat.  spare packed lanes nat.  spare packed lanes nat.
#   depthwise 7x7   56x56x96             64    54    27   188    555   327    45   901   4875   223    73   528
#                   14x14x384            22    18   6.7   169     27    22   7.2   235   1696    80    30   558
#                   7x7x768              11   9.1   4.3   329     12    15   5.6   360    666    44    20   803
#   depthwise       112x112x32           20    33    19   208     44    44    14   196   1088    73    23   184
#                   28x28x192           7.8   6.3   2.9   113    5.7   6.8   3.8    54    551    16   4.6   124
#                   14x14x384           4.2   3.5   1.8    31    4.3   3.5   1.9    25    299    15   8.0   116
#                   7x7x960             3.9   3.2   1.5   174    3.1   3.1   1.6    74    136   5.4   2.0   245
#     stride 2      56x56x144            11    10   6.8   340     20    14   8.7   575     61    78    33   421
#   groups of 2     28x28x128           4.3   4.5   2.6     -    5.2   4.4    10     -    222   8.0   4.1     -
#             4     56x56x128            34    21    32     -     24    20   196     -   2630   165   101     -
#             8     28x28x256            16    13     -     -     12   9.2     -     -    879    19     -     -
#            16     14x14x512           6.2   4.9     -     -    6.0   4.7     -     -    299   9.7     -     -
#            32     7x7x1024            4.2   3.6     -     -    4.2   3.6     -     -     92   6.4     -     -
#   8, stride 2     56x56x256            28    28     -     -     21    19     -     -    424   378     -     -
#  32, stride 2     14x14x1024          7.1   9.3     -     -    6.4   5.4     -     -     60    48     -     -
#  16 (RegNet)      56x56x64             11   9.3     -     -     13   9.6     -     -   1000    48     -     -
#                   14x14x288           2.4   2.4     -     -    3.7   2.8     -     -    321   5.6     -     -
#  24               28x28x168           8.4   6.3     -     -     12   8.7     -     -    281    22     -     -
#                   7x7x912             2.9   2.7     -     -    4.0   4.0     -     -      -     -     -     -
#  64               28x28x192            12   9.6     -     -     13    16     -     -    605    43     -     -
#                   7x7x1088            5.3   4.8     -     -    7.4   6.2     -     -      -     -     -     -
#   8 (32x8d)       56x56x256           128   116     -     -    197    89     -     -      -     -     -     -
#  16               28x28x512            26    21     -     -     54    28     -     -      -     -     -     -
#  32               14x14x1024           14    11     -     -     13    11     -     -    680    27     -     -
#  64               7x7x2048             25    24     -     -     14    23     -     -    612    77     -     -
#
# Native that is not depthwise: 0.3 to 35 s, nearly all of it the kernel's gradient. Blocks of 64 and 128 channels are
# nowhere faster than those of 32 by more than a fifth. Between 1x1 convolutions and ReLUs, which fuse with it, "lanes"
# stays the best or level with it where groups have one channel, and is slower where they have two.
#
# oneDNN, in float32, the depthwise rows from the top: 44, 62, 39, 554, 218, 132, 65 and 197, but with the kernel's
# gradient of ``packed32`` 24, 10, 3.8, 13, 2.8, 1.8, 14 and 6.1.
#
# What it goes by on a TPU: millions of cycles that the compiler of jax 0.10.2 (libtpu) estimates for a v5e, forward and
# backward, batch 32, bfloat16, compiled without the device on 2026-11-28. Estimates order alternatives; nothing ran.
# The last two columns are of programs with a ReLU on each side, which adds up to 0.2. "packed128", dense convolutions
# of blocks of 128 channels, is what ``merged128`` does in one convolution; it was compiled in 55 to 516 s, this in 12
# to 20 s.
#
#                                      native  packed64  packed128  pallas  merged128    merged128  merged256
#   groups of 4      56x56x128          8.33      2.28       1.37     2.24       1.11         1.11
#             8      28x28x256          1.84      0.88       0.88                0.61         0.79       0.73
#            16      14x14x512          0.94      0.52       0.50                0.35         0.45
#            32      7x7x1024           0.55      0.60       0.47                0.27         0.32
#   8, stride 2      56x56x256                                                                3.36       1.21
#  16, stride 2      28x28x512                                                                0.79       1.07
#
# Depthwise convolutions and other dtypes were not compiled for one; of groups of 128 channels and more nothing is left
# to be packed.
#
# On a GPU it goes by the bytes of the program that is compiled for an H100; nothing ran there either.


def choose(platform: str, groups: int, per_group: int, size: tuple[int, int], dtype: jax.typing.DTypeLike) -> Plan:
    """Choose by the rule, for what runs in this process: on the CPU it asks whether oneDNN can be used here.

    Args:
        platform: ``cpu``, ``cuda``, ``rocm`` or ``tpu``.
        groups: number of groups.
        per_group: input channels of one.
        size: height and width of the input. Nothing measured so far depends on it.
        dtype: of input and kernel, a name or a type of NumPy's or JAX's.

    Returns:
        the formulations to use.
    """
    depthwise = groups > 1 and per_group == 1
    if platform == "cpu" and onednn.why_unavailable(dtype) is None:
        return Plan("onednn", "onednn", "packed32" if depthwise else "onednn")
    if platform == "tpu" and 1 < per_group < 128 and groups > 1:
        # Two groups of 128 channels would lie in a TPU's tiles side by side, mostly empty; one of 256 does not.
        merged = "merged256" if 128 < groups * per_group <= 256 else "merged128"
        return Plan(merged, merged, merged)
    if platform in ("cuda", "rocm"):
        return Plan("native", "strided", "native")
    if groups == 1 or platform != "cpu":
        return Plan("native", "native", "native")
    if depthwise:
        return Plan("lanes", "lanes", "packed32")
    if jnp.dtype(dtype) == np.float64:
        return Plan("packed32", "packed32", "packed32")
    return Plan("spare32", "spare32", "packed32")


def grouped_conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int,
    padding: Padding,
    groups: int,
    formulation: Formulation | Plan | None = None,
) -> jax.Array:
    """Compute a grouped cross-correlation, as ``torch.nn.functional.conv2d(..., groups=groups)``.

    ``jax.vmap``, ``jax.grad`` and second derivatives work; forward-mode differentiation (``jax.jvp``) does not, as for
    every function with a gradient of its own. ``jax.hessian`` goes forward over reverse and so fails:
    ``jax.jacrev(jax.grad(f))`` is the same matrix.

    Args:
        x: ``[N, H, W, C]``; float32, bfloat16 or float64. Others are refused, float16 too: they are not tested.
        kernel: ``[kh, kw, C // groups, F]`` of the same dtype; output channels of one group are contiguous.
        stride: of both spatial axes; at least 1.
        padding: zeros before and after, for height and for width.
        groups: divides ``C`` and ``F``.
        formulation: one for all three parts, or one for each; ``None`` chooses by the platform that runs it.

    Returns:
        ``[N, H', W', F]`` in the dtype of ``x``.

    Raises:
        ValueError: ranks, dtypes or stride are not as above, ``groups`` does not divide the channels, the kernel does
            not match them or is larger than the padded input, or there is no such formulation.
    """
    _check_arrays(x, kernel)
    if stride < 1:
        raise ValueError(f"grouped_conv: expected a stride of at least 1, found {stride}")
    channels, features = x.shape[-1], kernel.shape[-1]
    if groups < 1 or channels % groups or features % groups or kernel.shape[2] != channels // groups:
        raise ValueError(
            f"grouped_conv: expected groups that divide {channels} input and {features} output channels and a kernel "
            f"of [kh, kw, {channels} // groups, {features}], found groups {groups} and kernel {list(kernel.shape)}"
        )
    geometry = Geometry(stride, padding, groups)
    if min(geometry.output_size(x, kernel)) < 1:
        raise ValueError(
            f"grouped_conv: expected an input that is, with its padding, as large as the kernel of {kernel.shape[0]}x"
            f"{kernel.shape[1]} or larger, found {x.shape[1]}x{x.shape[2]} with padding {padding}"
        )
    plan = Plan(formulation, formulation, formulation) if isinstance(formulation, str) else formulation
    if not (x.size and kernel.size):
        plan = Plan("native", "native", "native")  # an empty batch: nothing to compute
    return _grouped_conv(x, kernel, geometry, plan)


def _check_arrays(x: jax.Array, kernel: jax.Array) -> None:
    if x.ndim != 4 or kernel.ndim != 4:
        raise ValueError(
            "grouped_conv: expected an input [N, H, W, C] and a kernel [kh, kw, C // groups, F], "
            f"found {list(x.shape)} and {list(kernel.shape)}"
        )
    if x.dtype != kernel.dtype or x.dtype.name not in DTYPES:
        raise ValueError(
            f"grouped_conv: expected input and kernel both in one of {', '.join(DTYPES)}, "
            f"found {x.dtype} and {kernel.dtype}"
        )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _grouped_conv(x: jax.Array, kernel: jax.Array, geometry: Geometry, plan: Plan | None) -> jax.Array:
    def forward(name: Formulation, x: jax.Array, kernel: jax.Array) -> jax.Array:
        return parts(name).forward(x, kernel, geometry)

    return _on_platform(forward, lambda plan: plan.forward, x, kernel, x, geometry, plan)


def _forward(
    x: jax.Array, kernel: jax.Array, geometry: Geometry, plan: Plan | None
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _grouped_conv(x, kernel, geometry, plan), (x, kernel)


def _backward(
    geometry: Geometry, plan: Plan | None, residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    size, window = (x.shape[1], x.shape[2]), (kernel.shape[0], kernel.shape[1])

    def for_input(plan: Plan) -> Formulation:
        name = plan.input_gradient
        return "native" if name == "strided" and not applies(size, window, geometry) else name

    def to_input(name: Formulation, dy: jax.Array, kernel: jax.Array) -> jax.Array:
        if name == "strided":
            return strided_input_gradient(dy, kernel, geometry)
        return input_gradient(parts(name).forward, dy, kernel, size, geometry)

    def to_kernel(name: Formulation, x: jax.Array, dy: jax.Array) -> jax.Array:
        return parts(name).kernel_gradient(x, dy, window, geometry)

    return (
        _on_platform(to_input, for_input, dy, kernel, x, geometry, plan),
        _on_platform(to_kernel, lambda plan: plan.kernel_gradient, x, dy, x, geometry, plan),
    )


_grouped_conv.defvjp(_forward, _backward)


def _on_platform(
    part: Callable[[Formulation, jax.Array, jax.Array], jax.Array],
    of: Callable[[Plan], Formulation],
    first: jax.Array,
    second: jax.Array,
    x: jax.Array,
    geometry: Geometry,
    plan: Plan | None,
) -> jax.Array:
    """Compute ``part`` of the two arrays by the given plan, or by the rule's for the platform that will run it.

    Args:
        part: of a formulation and the two arrays.
        of: gives a plan's formulation of this part.
        first: an array.
        second: another.
        x: the input, by which the rule goes.
        geometry: of the convolution.
        plan: ``None``: the rule's.
    """
    if plan is not None:
        return part(of(plan), first, second)
    height, width = x.shape[1:3]
    names: dict[str, Formulation] = {
        platform: of(choose(platform, geometry.groups, x.shape[-1] // geometry.groups, (height, width), x.dtype))
        for platform in ("cpu", "cuda", "tpu")
    }
    if len(set(names.values())) == 1:
        return part(names["cpu"], first, second)
    branches = {platform: functools.partial(part, name) for platform, name in names.items()}
    return lax.platform_dependent(first, second, default=branches["cuda"], **branches)
