"""Convolution by oneDNN, the library that PyTorch convolves with on x86 processors.

jaxlib holds it as well, and XLA's CPU backend runs it where a program calls it by the name below, though its compiler
puts no such calls into programs. The name is internal to XLA, so that it is used only with versions of jaxlib in which
it was tried, and after a trial in this process.

XLA's threads bear none of oneDNN's kernels that start threads within threads: those that make a matrix product of a
convolution (``gemm`` in what ONEDNN_VERBOSE=1 prints) hang, or corrupt the memory. oneDNN falls back to them without
AVX2, and for dilated kernels of depthwise convolutions.
"""

import contextlib
import functools
import importlib.metadata
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache

Padding = tuple[tuple[int, int], tuple[int, int]]

_TARGET = "__onednn$convolution"
_TRIED = ("0.10.0", "0.10.1", "0.10.2", "0.11.2")
"""Versions of jaxlib. With any other ``works`` is false, and ``obstacle`` says so to who asked for oneDNN by name."""
_CPUINFO = Path("/proc/cpuinfo")


def convolve(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, dilation: int, groups: int) -> jax.Array:
    """Grouped two-dimensional cross-correlation on the CPU, without derivatives.

    Args:
        x: float32 ``[N, H, W, C]``; not empty.
        kernel: float32 ``[kh, kw, C // groups, F]``; output channels of one group are contiguous.
        stride: of both spatial axes.
        padding: zeros before and after, for height and for width; not negative.
        dilation: distance of the kernel's values, 1 where they are neighbours.
        groups: divides ``C`` and ``F``.

    Returns:
        float32 ``[N, H', W', F]``.

    Raises:
        ValueError: arrays that are not as above, or a kernel that ``bears`` refuses.
    """
    _check(x, kernel, stride, padding, dilation, groups)
    if not bears(kernel, dilation, groups):
        raise ValueError(f"onednn.convolve: a depthwise kernel {list(kernel.shape)} must not be dilated ({dilation})")
    image = {"dims": 4, "data": {"batch_dim": 0, "feature_dim": 3, "spatial_dims": [1, 2]}}
    filters = {"input_feature_dim": 2, "output_feature_dim": 3, "spatial_dims": [0, 1]}
    low, high = zip(*padding, strict=True)
    window = {"pad_left": low, "pad_right": high, "strides": [stride] * 2, "window_dilations": [dilation] * 2}
    config = {
        "dims": 4,
        "input": image,
        "kernel": {"dims": 4, "filter": filters},
        "output": image,
        "window": window,
        "feature_groups": groups,
    }
    call = jax.ffi.ffi_call(
        _TARGET,
        jax.ShapeDtypeStruct(output_shape(x, kernel, stride, padding, dilation), x.dtype),
        vmap_method="sequential",
        custom_call_api_version=1,
        legacy_backend_config=json.dumps({"onednn_conv_config": config}),
    )
    return call(x, kernel)


def _check(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, dilation: int, groups: int) -> None:
    """Raises for what is not as ``convolve`` has it: oneDNN would end the process for most of it."""
    arrays = f"{x.dtype}{list(x.shape)} and {kernel.dtype}{list(kernel.shape)}"
    if x.ndim != 4 or kernel.ndim != 4 or x.dtype != np.float32 or kernel.dtype != np.float32:
        raise ValueError(f"onednn.convolve: expected input and kernel in float32 and of rank 4, found {arrays}")
    if (
        min(*x.shape, *kernel.shape) < 1
        or groups < 1
        or kernel.shape[3] % groups
        or x.shape[3] != kernel.shape[2] * groups
    ):
        raise ValueError(f"onednn.convolve: expected values, and channels in {groups} groups, found {arrays}")
    if min(stride, dilation) < 1 or min(map(min, padding)) < 0:
        raise ValueError(
            "onednn.convolve: expected stride and dilation of at least 1 and no negative padding, "
            f"found {stride}, {dilation} and {padding}"
        )
    if min(output_shape(x, kernel, stride, padding, dilation)) < 1:
        raise ValueError(
            f"onednn.convolve: expected an input, padded by {padding}, as large as the kernel, found {arrays}"
        )


def bears(kernel: jax.Array, dilation: int, groups: int) -> bool:
    """Whether ``convolve`` takes this kernel: not one that is dilated with one channel of input and output a group."""
    return dilation == 1 or kernel.shape[2] > 1 or kernel.shape[3] > groups


def output_shape(
    x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, dilation: int
) -> tuple[int, int, int, int]:
    """``[N, H', W', F]`` for the same arguments."""
    height, width = (
        (x.shape[1 + axis] + sum(padding[axis]) - (kernel.shape[axis] - 1) * dilation - 1) // stride + 1
        for axis in (0, 1)
    )
    return x.shape[0], height, width, kernel.shape[-1]


def obstacle(dtype: jax.typing.DTypeLike) -> str | None:
    """What keeps programs that compute in ``dtype`` on the CPU from calling ``convolve``, or ``None``.

    One obstacle is JAX's persistent compilation cache: XLA cannot write a program that makes this call to a file, and
    does not notice.
    """
    if dtype != np.float32:
        return f"it is used for float32, not for {np.dtype(dtype)}"
    if not works():
        return "this jaxlib is not known to have it"
    settings: Any = jax.config
    if settings.jax_enable_compilation_cache and settings.jax_compilation_cache_dir:
        return "the compilation cache is in use, which cannot keep programs that call it"
    return None


@functools.cache
def works() -> bool:
    """Whether ``convolve`` computes what it should, after a trial.

    On Linux, on x86-64 with AVX2, with a version of jaxlib that was tried.
    """
    system, version = (platform.system(), platform.machine()), importlib.metadata.version("jaxlib")
    if system != ("Linux", "x86_64") or version not in _TRIED or not _has_avx2():
        return False
    x = np.arange(2 * 5 * 4 * 4, dtype=np.float32).reshape(2, 5, 4, 4)
    kernel = np.arange(3 * 2 * 2 * 6, dtype=np.float32).reshape(3, 2, 2, 6) % 7
    padding = ((2, 0), (0, 1))
    try:
        cpu = jax.local_devices(backend="cpu")[0]
        with jax.ensure_compile_time_eval(), jax.default_device(cpu), _without_cache():
            found = np.asarray(jax.jit(lambda x, kernel: convolve(x, kernel, 2, padding, 1, 2))(x, kernel))
    except (RuntimeError, NotImplementedError, ValueError):
        return False  # JAX was told to do without CPUs, or jaxlib was built without it
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    expected = np.zeros((2, 3, 2, 6), np.float32)
    for i, j, group in np.ndindex(3, 2, 2):
        part = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2, 2 * group : 2 * group + 2]
        outputs = slice(3 * group, 3 * group + 3)
        expected[:, i, j, outputs] = np.tensordot(part, kernel[..., outputs], 3)
    return bool(np.array_equal(found, expected))


def _has_avx2() -> bool:
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("flags") and "avx2" in line.split() for line in lines)


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
