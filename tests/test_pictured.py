"""What pictures show is what the training step computes with, on any number of devices."""

from pathlib import Path

import jax
import numpy as np
import pytest
import small_run
from test_compiled_steps import start

from jaxnext.augment import apply_all, draw_all
from jaxnext.data.loader import HostBatch
from jaxnext.engine import parallel
from jaxnext.engine.network import network
from jaxnext.engine.pictured import Pictured, compile_logits_step, on_first_device
from jaxnext.mix import Mix
from jaxnext.normalization import normalize
from jaxnext.training.compiled_steps import CompiledSteps, variables_of

CONFIG = small_run.config(Path("nowhere"), batch_size=6)
LABELS = np.array([3, 1, 4, 1, 5, 9], np.int32)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
MIXUP = Mix(mixup=1.0, cutmix=0.0, probability=1.0, switch=0.5, steps=9)


def steps_of(devices: int, mix: Mix | None) -> CompiledSteps:
    model = network(CONFIG.model, 12, CONFIG.precision, parallel.AXIS)
    transformation = CONFIG.optimizer.build().transformation()
    return CompiledSteps(CONFIG, model, transformation, jax.devices()[:devices], mix=mix)


def pictured(devices: int, mix: Mix | None = None) -> Pictured:
    mask = np.ones(6, bool)
    return steps_of(devices, mix).pictured(HostBatch(0, IMAGES, LABELS, mask, np.arange(6), ()), 0)


def augmented() -> np.ndarray:
    """The batch through the augmentation alone, as a step draws it."""
    augmentations = [choice.build() for choice in CONFIG.augment]
    drawn = draw_all(augmentations, CONFIG.seed, 0, 6, (16, 16))
    return np.asarray(normalize(apply_all(augmentations, jax.numpy.asarray(IMAGES), drawn), np.float32))


def test_images_are_those_of_the_augmentation() -> None:
    found = pictured(1)
    np.testing.assert_array_equal(found.image, augmented())
    assert not np.array_equal(found.image, np.asarray(normalize(IMAGES, np.float32)))
    assert (found.partner, found.shares) == (None, None)


def test_mixed_images_have_the_partner_before_them_on_any_number_of_devices() -> None:
    share = MIXUP.draw(CONFIG.seed, 0, (16, 16), 1).pixels[0, 0]
    expected = augmented() * share + np.roll(augmented(), 1, 0) * (1 - share)
    for devices in (1, 2):
        found = pictured(devices, MIXUP)
        np.testing.assert_allclose(found.image, expected, atol=1e-6)
        assert found.partner is not None
        assert found.partner.tolist() == [9, 3, 1, 4, 1, 5]
        assert found.shares is not None
        np.testing.assert_allclose(found.shares, [share, 1 - share], rtol=1e-6)


@pytest.mark.slow
def test_logits_are_the_networks_on_one_device_of_several() -> None:
    steps = steps_of(2, None)
    variables = variables_of(start(steps))
    found = compile_logits_step(network(CONFIG.model, 12, CONFIG.precision, parallel.AXIS), jax.devices()[0])(
        on_first_device(variables), jax.numpy.asarray(IMAGES)
    )
    alone = network(CONFIG.model, 12, CONFIG.precision)
    values = jax.tree.map(np.asarray, variables)
    expected = alone.apply(values, normalize(jax.numpy.asarray(IMAGES), np.float32), train=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)
