"""Convolution by oneDNN, the library that PyTorch convolves with on x86 processors.

jaxlib holds it as well, and XLA's CPU backend runs it where a program calls it by ``_TARGET`` and ``_PRODUCT``,
though its compiler puts no such calls into programs. Names and the JSON that describes a call are internal to XLA
(openxla/xla, ``xla/backends/cpu/runtime/onednn`` and ``xla/service/cpu/backend_config.proto``), so that they are used
only with versions of jaxlib in which they were tried, and after a trial in this process. Without them
``why_unavailable`` says so and XLA computes everything: a training step takes 1.2 times as long. ``test_onednn.py``
fails where they are gone.

XLA's threads support none of oneDNN's kernels that start threads within threads: those that make a matrix product of a
convolution (``gemm`` in what ONEDNN_VERBOSE=1 prints) hang, or corrupt the memory. oneDNN falls back to them without
AVX2, and for dilated kernels of depthwise convolutions.
"""

import contextlib
import functools
import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache

Padding = tuple[tuple[int, int], tuple[int, int]]

_TARGET = "__onednn$convolution"
_PRODUCT = "__onednn$matmul"
_SWITCHED_OFF = jax.make_user_context(None)
"""Why; functions that JAX has compiled under another value are traced anew."""
_TRIED = ("0.10.0", "0.10.1", "0.10.2", "0.11.2", "0.12.0", "0.12.0.1")
"""Versions of jaxlib. With any other ``is_available`` is false, and ``why_unavailable`` says so to who asked for it."""
_CPUINFO = Path("/proc/cpuinfo")


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    stride: int,
    padding: Padding,
    dilation: int,
    groups: int,
    *,
    kernel_axes: str = "HWIO",
    bias: jax.Array | None = None,
    residual: jax.Array | None = None,
    relu: bool = False,
) -> jax.Array:
    """Compute a grouped two-dimensional cross-correlation on the CPU, without derivatives.

    What may follow it costs no further pass over memory: the bias is added, then the residual, and what is negative is
    set to zero.

    Args:
        x: float32 ``[N, H, W, C]``; not empty.
        kernel: float32 ``[kh, kw, C // groups, F]`` or in the order of ``kernel_axes``; output channels of one group
            are contiguous.
        stride: of both spatial axes.
        padding: zeros before and after, for height and for width; not negative.
        dilation: distance of the kernel's values, 1 where they are neighbours.
        groups: divides ``C`` and ``F``.
        kernel_axes: height, width, input and output channels in the order in which the kernel has them.
        bias: float32 ``[F]``.
        residual: float32 ``[N, H', W', F]``.
        relu: whether the result is rectified; NaN becomes zero.

    Returns:
        float32 ``[N, H', W', F]``.

    Raises:
        ValueError: arrays that are not as above, or a kernel that ``supports`` refuses.
    """
    for array in (x, kernel):
        if array.ndim != 4 or array.dtype != np.float32:
            found = f"{x.dtype}{list(x.shape)} and {kernel.dtype}{list(kernel.shape)}"
            raise ValueError(f"onednn.convolve: expected input and kernel in float32 and of rank 4, found {found}")
    place = kernel_axes.index
    size = [kernel.shape[place(axis)] for axis in "HWIO"]
    _check(x, kernel, size, stride, padding, dilation, groups)
    _check_followers(bias, residual, output_shape(x, size, stride, padding, dilation))
    if not supports(size, dilation, groups):
        raise ValueError(f"onednn.convolve: a depthwise kernel {size} must not be dilated ({dilation})")
    image = {"dims": 4, "data": {"batch_dim": 0, "feature_dim": 3, "spatial_dims": [1, 2]}}
    filters = {
        "input_feature_dim": place("I"),
        "output_feature_dim": place("O"),
        "spatial_dims": [place("H"), place("W")],
    }
    low, high = zip(*padding, strict=True)
    window = {"pad_left": low, "pad_right": high, "strides": [stride] * 2, "window_dilations": [dilation] * 2}
    config: dict[str, Any] = {
        "dims": 4,
        "input": image,
        "kernel": {"dims": 4, "filter": filters},
        "output": image,
        "window": window,
        "feature_groups": groups,
    }
    followers = {"BIAS": bias, "BINARY_ADD": residual}
    operands = {name: operand for name, operand in followers.items() if operand is not None}
    if operands or relu:
        config["fusions"] = {"ops": [*operands, *["RELU"] * relu]}
    call = jax.ffi.ffi_call(
        _TARGET,
        jax.ShapeDtypeStruct(output_shape(x, size, stride, padding, dilation), x.dtype),
        vmap_method="sequential",
        custom_call_api_version=1,
        legacy_backend_config=json.dumps({"onednn_conv_config": config}),
    )
    return call(x, kernel, *operands.values())


def transposed_product(x: jax.Array, y: jax.Array) -> jax.Array:
    """Compute ``x.T @ y`` on the CPU, without derivatives; only where ``multiplies`` says so.

    Args:
        x: float32 ``[R, C]``; not empty.
        y: float32 ``[R, F]``; not empty.

    Returns:
        float32 ``[C, F]``.

    Raises:
        ValueError: arrays that are not as above.
    """
    if x.ndim != 2 or y.ndim != 2 or x.dtype != np.float32 or y.dtype != np.float32 or len(x) != len(y):
        found = f"{x.dtype}{list(x.shape)} and {y.dtype}{list(y.shape)}"
        raise ValueError(f"onednn.transposed_product: expected two float32 matrices of as many rows, found {found}")
    call = jax.ffi.ffi_call(
        _PRODUCT,
        jax.ShapeDtypeStruct((x.shape[1], y.shape[1]), x.dtype),
        vmap_method="sequential",
        custom_call_api_version=1,
        legacy_backend_config=json.dumps({"onednn_matmul_config": {"transpose_a": True}}),
    )
    return call(x, y)


def _check(
    x: jax.Array,
    kernel: jax.Array,
    size: Sequence[int],
    stride: int,
    padding: Padding,
    dilation: int,
    groups: int,
) -> None:
    """Refuse what is not as ``convolve`` has it: oneDNN would end the process for most of it."""
    arrays = f"{x.dtype}{list(x.shape)} and {kernel.dtype}{list(kernel.shape)}"
    if min(*x.shape, *kernel.shape) < 1 or groups < 1 or size[3] % groups or x.shape[3] != size[2] * groups:
        raise ValueError(f"onednn.convolve: expected values, and channels in {groups} groups, found {arrays}")
    if min(stride, dilation) < 1 or min(map(min, padding)) < 0:
        raise ValueError(
            "onednn.convolve: expected stride and dilation of at least 1 and no negative padding, "
            f"found {stride}, {dilation} and {padding}"
        )
    if min(output_shape(x, size, stride, padding, dilation)) < 1:
        raise ValueError(
            f"onednn.convolve: expected an input, padded by {padding}, as large as the kernel, found {arrays}"
        )


def _check_followers(bias: jax.Array | None, residual: jax.Array | None, output: tuple[int, ...]) -> None:
    for name, array, shape in (("bias", bias, output[-1:]), ("residual", residual, output)):
        if array is not None and (array.dtype != np.float32 or array.shape != shape):
            found = f"{array.dtype}{list(array.shape)}"
            raise ValueError(f"onednn.convolve: expected a {name} of float32{list(shape)}, found {found}")


def supports(kernel: Sequence[int], dilation: int, groups: int) -> bool:
    """Return whether ``convolve`` takes a kernel of shape ``[kh, kw, C // groups, F]``: not one that is dilated with
    one channel of input and output a group."""
    return dilation == 1 or kernel[2] > 1 or kernel[3] > groups


def output_shape(
    x: jax.Array, kernel: Sequence[int], stride: int, padding: Padding, dilation: int
) -> tuple[int, int, int, int]:
    """Return ``[N, H', W', F]`` for the same arguments and a kernel of shape ``[kh, kw, C // groups, F]``."""
    height, width = (
        (x.shape[1 + axis] + sum(padding[axis]) - (kernel[axis] - 1) * dilation - 1) // stride + 1 for axis in (0, 1)
    )
    return x.shape[0], height, width, kernel[3]


@contextlib.contextmanager
def disabled(reason: str = "it is switched off") -> Iterator[None]:
    """Do without oneDNN in what this thread traces or compiles within it.

    Programs that call it can neither be kept in JAX's compilation cache nor be written by ``jax.export``.

    Args:
        reason: what ``why_unavailable`` says.
    """
    with _SWITCHED_OFF(reason):
        yield


def why_unavailable(dtype: jax.typing.DTypeLike) -> str | None:
    """Say what keeps programs that compute in ``dtype`` on the CPU from calling ``convolve``.

    One reason is JAX's persistent compilation cache: XLA cannot write a program that makes this call to a file, and
    does not notice.

    Args:
        dtype: a name or a type of NumPy's or JAX's.

    Returns:
        The reason, or ``None``: nothing does.
    """
    if jnp.dtype(dtype) != np.float32:
        return f"it is used for float32, not for {jnp.dtype(dtype)}"
    if _SWITCHED_OFF.value is not None:
        return _SWITCHED_OFF.value
    if not is_available():
        return "this jaxlib is not known to have it"
    settings: Any = jax.config
    if settings.jax_enable_compilation_cache and settings.jax_compilation_cache_dir:
        return "the compilation cache is in use, which cannot keep programs that call it"
    return None


@functools.cache
def is_available() -> bool:
    """Return whether ``convolve`` computes what it should, after a trial.

    On Linux, on x86-64 with AVX2, with a version of jaxlib that was tried.
    """
    system, version = (platform.system(), platform.machine()), importlib.metadata.version("jaxlib")
    if system != ("Linux", "x86_64") or version not in _TRIED or not _has("avx2"):
        return False
    x = np.arange(2 * 5 * 4 * 4, dtype=np.float32).reshape(2, 5, 4, 4)
    kernel = np.arange(3 * 2 * 2 * 6, dtype=np.float32).reshape(3, 2, 2, 6) % 7
    padding = ((2, 0), (0, 1))
    found = _tried(lambda x, kernel: convolve(x, kernel, 2, padding, 1, 2), x, kernel)
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    expected = np.zeros((2, 3, 2, 6), np.float32)
    for i, j, group in np.ndindex(3, 2, 2):
        part = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2, 2 * group : 2 * group + 2]
        outputs = slice(3 * group, 3 * group + 3)
        expected[:, i, j, outputs] = np.tensordot(part, kernel[..., outputs], 3)
    return found is not None and bool(np.array_equal(found, expected))


@functools.cache
def multiplies() -> bool:
    """Return whether ``transposed_product`` computes what it should, after a trial.

    Where ``is_available`` says that oneDNN does, with AVX-512: without it oneDNN multiplies in threads within threads.
    """
    if not is_available() or not _has("avx512bw", "avx512dq", "avx512vl"):
        return False
    x, y = np.arange(12, dtype=np.float32).reshape(4, 3) % 7, np.arange(8, dtype=np.float32).reshape(4, 2) % 5
    found = _tried(transposed_product, x, y)
    return found is not None and bool(np.array_equal(found, x.T @ y))


def _tried(function: Callable[..., jax.Array], *operands: np.ndarray) -> np.ndarray | None:
    """Return what ``function`` computes on the CPU; ``None`` where JAX does without CPUs or jaxlib lacks it."""
    try:
        cpu = jax.local_devices(backend="cpu")[0]
        with jax.ensure_compile_time_eval(), jax.default_device(cpu), _without_cache():
            return np.asarray(jax.jit(function)(*operands))
    except (RuntimeError, NotImplementedError, ValueError):
        return None


def _has(*features: str) -> bool:
    """Return whether the processor has all of them, by the names that Linux has for them."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("flags") and set(features) <= set(line.split()) for line in lines)


@contextlib.contextmanager
def _without_cache() -> Iterator[None]:
    settings: Any = jax.config
    before = settings.jax_enable_compilation_cache
    # JAX looks at the setting at the first compilation of a process only, unless it is told to forget what it saw.
    settings.update("jax_enable_compilation_cache", False)
    reset_cache()
    try:
        yield
    finally:
        settings.update("jax_enable_compilation_cache", before)
        reset_cache()
