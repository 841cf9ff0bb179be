"""Programs that the compilation cache neither gives nor keeps."""

import contextlib
from collections.abc import Iterator

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache


@contextlib.contextmanager
def uncached() -> Iterator[None]:
    """Compile without the cache, so that convolutions in float32 are computed by oneDNN where it works."""
    # JAX looks at the setting at the first compilation only, unless it is told to forget what it saw.
    jax.config.update("jax_enable_compilation_cache", False)
    reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
        reset_cache()
