import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from jaxnext.engine.energy import compile_probabilities_and_energy
from jaxnext.engine.parallel import mesh_of, split_batch


class Net:
    """Logits that are the pixels of the first row's first channel, as a net of four outputs."""

    dtype = jnp.dtype("float32")
    mean, std = (0.0, 0.0, 0.0), (1 / 255,) * 3

    def apply(self, variables, images, *, train):
        assert not train
        return images[:, 0, :, 0] * variables["scale"]


@pytest.mark.parametrize("devices", [1, 2])
def test_definitions(devices: int) -> None:
    images = np.random.default_rng(0).integers(0, 9, (4, 1, 4, 3), np.uint8)
    logits = images[:, 0, :, 0].astype(np.float64) * 2
    mesh = mesh_of(jax.devices()[:devices])
    compute = compile_probabilities_and_energy(Net(), mesh, 4.0)  # type: ignore[arg-type]
    probabilities, energies = compute({"scale": np.float32(2)}, split_batch(images, mesh))
    np.testing.assert_allclose(probabilities, softmax(logits / 4, -1), rtol=1e-5)
    np.testing.assert_allclose(energies, -logsumexp(logits, -1), rtol=1e-6)
