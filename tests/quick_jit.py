"""``jax.jit`` for functions that run a few times."""

import contextlib
import functools
from collections.abc import Iterator

import jax

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Without LLVM's optimisation, which takes half of the time to compile.

XLA's recomputed values then also round differently from each other, which no result and no gradient may depend on.
"""

less_quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 1})
"""For what runs twenty times: a full-size step in double takes a sixth of the time and compiles almost as fast."""


@contextlib.contextmanager
def quick_compile() -> Iterator[None]:
    """As ``quick_jit``, for what compiles in the block and is not given its options here."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)
