"""``jax.jit`` for functions that run a few times."""

import functools

import jax

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Without LLVM's optimisation, which takes half of the time to compile.

XLA's recomputed values then also round differently from each other, which no result and no gradient may depend on.
"""

less_quick_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 1, "xla_llvm_disable_expensive_passes": False}
)
"""For what runs twenty times: a full-size step in double takes a sixth of the time and compiles almost as fast."""

default_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
)
"""As ``jax.jit`` compiles for a user, whose rounding is what is compared in float32; the tests' own is quick."""
