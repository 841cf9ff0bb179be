"""What small runs of the same network have in common is traced once: programs, fresh weights, shapes and checks.

Tracing and compiling are nine tenths of a small run.
"""

import dataclasses
import functools
import importlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from jaxnext.inference import classifier
from jaxnext.ops.cpu import onednn
from jaxnext.training import initial_weights
from jaxnext.training.compiled_steps import CompiledSteps

# The package names the function so.
FIT = importlib.import_module("jaxnext.training.fit")


def share(patch: pytest.MonkeyPatch) -> None:
    """Share what is traced as long as the patch lasts. Tests of each of these call it by its own module's name."""
    patch.setattr(CompiledSteps, "compile", steps_once(CompiledSteps.compile))
    patch.setattr(initial_weights, "initialise", once(initial_weights.initialise, np.array))
    patch.setattr(FIT, "variable_shapes", once(FIT.variable_shapes))
    for module in (FIT, classifier):
        patch.setattr(module, "check_parts", once(module.check_parts))


def once(function: Callable[..., Any], copied: Callable[[Any], Any] = lambda leaf: leaf) -> Callable[..., Any]:
    """Call a function once for the same arguments; what it returned is given in copies.

    Args:
        function: of hashable arguments, or lists and sets of such. What it raises is not kept.
        copied: makes a copy of a leaf of the result.
    """
    kept: dict[Any, Any] = {}

    @functools.wraps(function)
    def called(*arguments: Any) -> Any:
        plain = tuple(tuple(sorted(each)) if isinstance(each, set) else each for each in arguments)
        key = (*plain, jax.config.read("jax_enable_x64"), onednn.why_unavailable("float32"))
        if key not in kept:
            kept[key] = function(*arguments)
        return jax.tree.map(copied, kept[key])

    return called


def steps_once(compile_steps: Callable[..., str]) -> Callable[..., str]:
    """Return ``CompiledSteps.compile`` for which runs whose steps are the same program share it."""
    shared = {}

    def compiled(self: CompiledSteps, state: Any, cache: Any, clock: Any) -> str:
        # A step that a test has put in its place is no program to share.
        if cache is not None or not hasattr(self._train, "trace"):
            return compile_steps(self, state, cache, clock)
        config = self.config
        leaves = jax.tree.leaves_with_path(state)
        key = str(
            (
                dataclasses.replace(config.model, weights=None),
                # The rate is in the state.
                config.optimizer.type,
                {**config.optimizer.options, "learning_rate": 1.0},
                (config.augment, self.loss, self.mix is None),
                (self.phase, self.recipe, config.training.recalibrate),
                (config.precision, config.batch_size, config.data.size),
                [(path, leaf.shape, leaf.dtype) for path, leaf in leaves],
                self.mesh,
            )
        )
        if key in shared:
            self._train, self._evaluate, self._recalibrate = shared[key]
            self._compiled = True
            return "compiled in 0.0 s"
        line = compile_steps(self, state, cache, clock)
        shared[key] = self._train, self._evaluate, self._recalibrate
        return line

    return compiled
