"""Steps of an optimizer on gradients that are given, and the same steps of PyTorch's."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import FLOAT64_ADAM

START = (1.0, -2.0, 0.5)
GRADIENTS = ([0.5, -1.0, 0.0], [0.25, 2.0, 1e-6], [-0.5, 0.5, -1e-6], [1.0, 1.0, 1.0])


def descend(config: Any, params: Any, gradients: Any) -> list[Any]:
    """Parameters after each step, the step size applied as the training step does."""
    optimizer = config.transformation()
    state, path = optimizer.init(params), []

    @jax.jit
    def step(params: Any, state: Any, gradient: Any) -> Any:
        directions, state = optimizer.update(gradient, state, params)
        return jax.tree.map(lambda p, d: p - config.learning_rate * d, params, directions), state

    for gradient in gradients:
        params, state = step(params, state, gradient)
        path.append(params)
    return path


def assert_recorded(config: Any, recorded: list[list[float]]) -> None:
    """The four steps from ``START`` are those that PyTorch took in float64."""
    with jax.enable_x64(True):
        path = descend(config, jnp.array(START), [jnp.array(g) for g in GRADIENTS])
        np.testing.assert_allclose(path, recorded, rtol=1e-12)


def values(steps: int = 20) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Parameters of a small network, by path, and gradients of very different sizes, some of them zero."""
    generator = np.random.default_rng(1)
    shapes = {"backbone/stem_norm/scale": 4, "backbone/stage2_block1/conv1/kernel": (3, 4), "head/output/bias": 5}
    start = {name: generator.standard_normal(shape) for name, shape in shapes.items()}

    def gradient(value: Any) -> Any:
        return value * 10.0 ** generator.integers(-9, 3) * (generator.random(value.shape) < 0.9)

    return start, [{name: gradient(value) for name, value in start.items()} for _ in range(steps)]


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """The same as a network has them."""
    from jaxnext.tree import unflatten

    return unflatten({tuple(name.split("/")): jnp.asarray(value) for name, value in flat.items()})


def assert_equals_torch(config: Any, make: Callable[..., Any], before: Callable[[Any], Any] | None = None) -> None:
    """Twenty steps in float64 are those of a PyTorch optimizer.

    Args:
        config: an optimizer.
        make: of PyTorch, the optimizer of parameters by name.
        before: is called with the parameters before each of its steps.
    """
    torch = pytest.importorskip("torch")
    start, gradients = values()
    theirs = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in start.items()}
    optimizer = make(theirs)
    with jax.enable_x64(True):
        path = descend(config, nested(start), [nested(gradient) for gradient in gradients])
        for ours, gradient in zip(path, gradients, strict=True):
            for name, parameter in theirs.items():
                parameter.grad = torch.tensor(gradient[name])
            if before is not None:
                before(theirs.values())
            optimizer.step()
            expected = nested({name: parameter.detach().numpy() for name, parameter in theirs.items()})
            for found, value in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
                np.testing.assert_allclose(found, value, rtol=FLOAT64_ADAM, atol=FLOAT64_ADAM)
