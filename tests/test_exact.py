"""jaxnext against PyTorch and torchvision, live, on weights, images and parameters that are new each time.

The seed is part of every failure; JAXNEXT_TEST_SEED=<seed> repeats it. JAXNEXT_EVERY_SETTING=1 runs the full-size
comparisons, of which CI runs fc_cbam, for all four settings.
"""

import itertools
import os
import secrets

import jax.numpy as jnp
import jaxnext_runs
import named_values
import numpy as np
import pytest
import torch_runs
from golden_cases import FULL_SIZE, ODD_SIZE
from PIL import Image
from quick_jit import quick_jit
from tolerances import (
    FLOAT32_FIRST_LOSS,
    FLOAT32_GRADIENT_FACTOR,
    FLOAT32_LOGITS,
    FLOAT64_ADAM_STEPS,
)
from torch_ported import relative_error
from torch_reference import SETTINGS, require

from jaxnext.augment import IMAGENET_MEAN, IMAGENET_STD, augment, normalize, rotation_coefficients
from jaxnext.data.decode import resize
from jaxnext.tree import flatten, path_name
from jaxnext.types import Augmentation

SEED = int(os.environ.get("JAXNEXT_TEST_SEED", secrets.randbits(32)))
ADAM_STEPS = 20


@pytest.fixture(autouse=True)
def _say_the_seed() -> None:
    print(f"JAXNEXT_TEST_SEED={SEED}")
    require()


# ---- 20 steps in double ----


def compare_steps(setting: str, tiny: bool) -> None:
    weights = named_values.weights(torch_runs.shapes_of(setting, tiny), SEED)
    batches = [(named_values.images(str(i), seed=SEED), named_values.labels(str(i), SEED)) for i in range(ADAM_STEPS)]
    expected = torch_runs.descent(setting, tiny, weights, batches)
    found = jaxnext_runs.descent(setting, tiny, weights, batches)
    np.testing.assert_allclose(found.learning_rates, expected.learning_rates, rtol=1e-15)
    assert len(set(expected.learning_rates)) > 1
    np.testing.assert_allclose(found.losses, expected.losses, rtol=FLOAT64_ADAM_STEPS)
    variables = {"params": found.params, "batch_stats": found.batch_stats}
    right = flatten(jaxnext_runs.to_leaves(variables, expected.params | expected.batch_stats))
    leaves = flatten(variables)
    assert leaves.keys() == right.keys()
    errors = {path_name(p): np.linalg.norm(leaves[p] - right[p]) / np.linalg.norm(right[p]) for p in leaves}
    worst = max(errors, key=lambda name: errors[name])
    print(f"{setting}: worst leaf {worst} {errors[worst]:.1e}")
    assert errors[worst] <= FLOAT64_ADAM_STEPS, worst
    assert int(found.batch_stats["backbone"]["stem_norm"]["num_batches_tracked"]) == 3 + ADAM_STEPS


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_twenty_steps_of_the_tiny_net(setting: str) -> None:
    compare_steps(setting, tiny=True)


@pytest.mark.slow
@pytest.mark.parametrize("setting", FULL_SIZE)
def test_twenty_steps_of_the_full_size(setting: str) -> None:
    compare_steps(setting, tiny=False)


# ---- single precision ----


def last_place(images: np.ndarray, name: str) -> np.ndarray:
    """The float32 images, each value moved by at most one unit in the last place."""
    moves = np.floor(3 * named_values.uniform(f"last place {name}", images.shape, SEED)) - 1
    return np.where(moves == 0, images, np.nextafter(images, np.copysign(np.float32(np.inf), moves), dtype=np.float32))


def compare_single(setting: str, tiny: bool, size: int, seed: int, variants: int) -> None:
    """Logits, first loss and gradients in float32 against float64.

    PyTorch's own float32 error in a leaf is its largest over its two memory layouts, and over images that differ in
    the last place. Which of the ReLU's units, and of the maxima, within rounding of a kink fall on its other side
    in one computation is chance, and each that does moves whole gradients by more than all other rounding.
    """
    weights = named_values.weights(torch_runs.shapes_of(setting, tiny), seed)
    images, labels = named_values.images("single", size, seed), named_values.labels("single", seed)
    exact = torch_runs.both_modes(setting, tiny, "float64", weights, images, labels)
    found = jaxnext_runs.both_modes(setting, tiny, "float32", weights, images, labels)
    own = [
        torch_runs.both_modes(setting, tiny, "float32", weights, inputs, labels, channels_last=bool(i % 2))
        for i, inputs in enumerate([images, images, *(last_place(images, str(v)) for v in range(variants))])
    ]
    assert found.evaluation.dtype == np.float32
    assert relative_error(found.evaluation, exact.evaluation) <= FLOAT32_LOGITS
    assert relative_error(found.training, exact.training) <= FLOAT32_LOGITS
    assert relative_error(found.loss, exact.loss) <= FLOAT32_FIRST_LOSS

    def errors(gradients: dict[str, np.ndarray]) -> dict[str, float]:
        return {n: float(np.linalg.norm(gradients[n].astype(np.float64) - g)) for n, g in exact.gradients.items()}

    theirs = [errors(result.gradients) for result in own]
    limits = {name: max(each[name] for each in theirs) for name in exact.gradients}
    whole = float(np.sqrt(sum(np.sum(g**2) for g in exact.gradients.values())))
    for name, gradient in exact.gradients.items():
        if np.linalg.norm(gradient) < 1e-10 * whole:  # zero in truth: compared as a part of the whole gradient
            assert name in ("fc.0.bias", "fc.4.bias")
            limits[name] = max(float(np.sqrt(sum(e**2 for e in each.values()))) for each in theirs)
    ours = errors(jaxnext_runs.in_torch(setting, tiny, {"params": found.gradients}))
    ratios = {name: ours[name] / limits[name] for name in ours}
    worst = max(ratios, key=lambda name: ratios[name])
    print(f"{setting}: median ratio {np.median(list(ratios.values())):.2f}, worst {worst} {ratios[worst]:.2f}")
    assert ratios[worst] <= FLOAT32_GRADIENT_FACTOR, worst


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_tiny_net_in_single(setting: str) -> None:
    compare_single(setting, True, ODD_SIZE, SEED, variants=8)


@pytest.mark.slow
@pytest.mark.parametrize("setting", FULL_SIZE)
def test_full_size_at_224_in_single(setting: str) -> None:
    compare_single(setting, False, 224, 0, variants=1)


# ---- images ----


def test_resize_equals_torchvision() -> None:
    """500 images of random sizes, content and target."""
    transforms = require()[1].transforms
    rng = np.random.default_rng(SEED)
    for case in range(500):
        height, width, size = rng.integers(1, 90, 3)
        image = random_image(rng, height, width)
        expected = np.asarray(transforms.Resize((size, size))(Image.fromarray(image)))
        np.testing.assert_array_equal(resize(image, int(size)), expected, err_msg=f"case {case} of seed {SEED}")


def random_image(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Noise, or a smooth ramp, of any contrast."""
    low, high = sorted(rng.integers(0, 257, 2))
    if rng.random() < 0.5:
        return rng.integers(low, high + 1, (height, width, 3)).clip(0, 255).astype(np.uint8)
    ramp = np.linspace(low, high, width)[None, :, None] + np.linspace(0, rng.integers(256), height)[:, None, None]
    return (ramp + rng.uniform(-40, 40, 3)).clip(0, 255).astype(np.uint8)


SIZES = 5
IMAGES = 500


@pytest.mark.parametrize("part", range(SIZES))
def test_augmentation_and_normalisation_equal_torchvision(part: int) -> None:
    """500 images in all, of five random sizes: a rotation, a jitter in each order and both flips of every one."""
    transforms = require()[1].transforms
    rng = np.random.default_rng([SEED, part])
    size, count = int(rng.integers(2, 80)), IMAGES // SIZES
    images = np.stack([random_image(rng, size, size) for _ in range(count)])
    pictures = [Image.fromarray(image) for image in images]
    angles = rng.uniform(-180, 180, count).astype(np.float32).astype(float).tolist()
    factors = rng.uniform(0, 2, (count, 3)).astype(np.float32)
    orders = np.array(list(itertools.permutations(range(3))), np.int32)[np.arange(count) % 6]

    expected = {
        0: [transforms.RandomRotation((angle, angle))(image) for angle, image in zip(angles, pictures, strict=True)],
        1: [torch_runs.jitter(f, o)(image) for f, o, image in zip(factors, orders, pictures, strict=True)],
        2: [transforms.RandomHorizontalFlip(1.0)(image) for image in pictures],
        3: [transforms.RandomVerticalFlip(1.0)(image) for image in pictures],
    }
    affine = np.array([rotation_coefficients(angle, size) for angle in angles], np.int32)
    compiled = quick_jit(augment)
    for choice, changed in expected.items():
        drawn = Augmentation(np.full(count, choice, np.int32), affine, factors, orders)
        found = np.asarray(compiled(images, drawn))
        for row, image in enumerate(changed):
            np.testing.assert_array_equal(
                found[row], np.asarray(image), err_msg=f"choice {choice}, row {row}, part {part} of seed {SEED}"
            )
    preprocess = transforms.Compose([transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
    tensors = np.stack([preprocess(image).numpy().transpose(1, 2, 0) for image in pictures])
    # A unit in the last place: PyTorch divides by the deviation, XLA may multiply by its reciprocal.
    np.testing.assert_array_max_ulp(np.asarray(normalize(jnp.asarray(images), jnp.float32)), tensors, maxulp=1)
