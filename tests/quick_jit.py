"""``jax.jit`` for functions that run once or twice."""

import functools

import jax

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Without LLVM's optimisation, which takes half of the time to compile.

XLA's recomputed values then also round differently from each other, which no result and no gradient may depend on.
"""
