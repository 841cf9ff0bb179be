"""jaxnext against PyTorch and torchvision, live, on random weights, images and parameters, drawn from the live seed.

The tiny nets' run in one setting, which the seed picks, in the others with ``-m full_size``. The comparisons of the
full-size net take minutes for each setting and run only with ``-m full_size``; the 20 steps then in the setting that
the seed picks, or in all with JAXNEXT_EVERY_SETTING=1.
"""

import functools
import io
import itertools
import os
from typing import Any

import jax
import jax.numpy as jnp
import jaxnext_runs
import named_values
import numpy as np
import pytest
import torch_runs
from golden_cases import ODD_SIZE
from live_seed import SEED, drawn
from PIL import Image
from square import original
from tolerances import (
    FLOAT32_FIRST_LOSS,
    FLOAT32_GRADIENT_FACTOR,
    FLOAT32_LOGITS,
    FLOAT64_ADAM_STEPS,
    FLOAT64_FORWARD,
    FLOAT64_GRADIENT,
    LEARNING_RATE,
)
from torch_ported import relative_error
from torch_reference import NETS, SETTINGS, require

from jaxnext.augment.original import Drawn, augment, rotation_coefficients
from jaxnext.data.decode import decode
from jaxnext.data.resize import resize
from jaxnext.engine.optimizers import adamw, sgd
from jaxnext.normalization import IMAGENET_MEAN, IMAGENET_STD, normalize
from jaxnext.tree import flatten, path_name

ADAM_STEPS = 20
DRAWN = list(SETTINGS)[SEED % len(SETTINGS)]
"""The setting that the seed picks, where each takes long."""

LIVE = drawn(SETTINGS)
"""``-m full_size`` runs the others; the golden files hold all four in float64."""

LIVE_NETS = [pytest.param(net, marks=pytest.mark.full_size) for net in NETS]
"""The golden files hold both."""

STEPPED = list(SETTINGS) if os.environ.get("JAXNEXT_EVERY_SETTING") == "1" else [DRAWN]
"""Settings of which the full-size net goes 20 steps: each takes minutes."""


OTHERS = {
    "sgd": sgd.Optimizer(learning_rate=1e-2, momentum=0.9, nesterov=True, weight_decay=0.05, decay_norms=False),
    "adamw": adamw.Optimizer(learning_rate=1e-3, weight_decay=0.5, decay_norms=False),
}
"""With so much decay that one of norms and biases too would be seen."""


@pytest.fixture(autouse=True)
def _require() -> None:
    require()


# ---- 20 steps in double ----


def compare_steps(
    setting: str, tiny: bool, seed: int, optimizer: Any = jaxnext_runs.ADAM, size: int = named_values.IMAGE_SIZE
) -> None:
    weights = named_values.weights(torch_runs.shapes_of(setting, tiny), seed)
    names = [str(i) for i in range(ADAM_STEPS)]
    batches = [(named_values.images(name, size, seed), named_values.labels(name, seed)) for name in names]
    expected = torch_runs.descent(setting, tiny, weights, batches, optimizer)
    found = jaxnext_runs.descent(setting, tiny, weights, batches, optimizer)
    assert 1 < len(set(expected.learning_rates)) < 5, "the steps have to reduce the learning rate mid-way"
    np.testing.assert_allclose(found.learning_rates, expected.learning_rates, rtol=LEARNING_RATE)
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
@pytest.mark.parametrize("setting", [*LIVE, LIVE_NETS[1]])  # basic blocks have more channels, and would take minutes
def test_twenty_steps_of_the_tiny_net(setting: str) -> None:
    compare_steps(setting, tiny=True, seed=SEED)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", drawn(OTHERS))
def test_twenty_steps_of_other_optimizers(optimizer: str) -> None:
    compare_steps("fc_cbam", tiny=True, seed=SEED, optimizer=OTHERS[optimizer], size=32)


@pytest.mark.slow
@pytest.mark.full_size
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("setting", STEPPED)
def test_twenty_steps_of_the_full_size(setting: str) -> None:
    compare_steps(setting, tiny=False, seed=SEED)


# ---- one batch in double ----


def compare_double(setting: str, tiny: bool, size: int) -> None:
    """Activations, logits in both modes, gradients and statistics after one step."""
    weights = named_values.weights(torch_runs.shapes_of(setting, tiny), SEED)
    images, labels = named_values.images("double", size, SEED), named_values.labels("double", SEED)
    expected = torch_runs.both_modes(setting, tiny, "float64", weights, images, labels)
    found = jaxnext_runs.both_modes(setting, tiny, "float64", weights, images, labels)
    assert found.activations.keys() == expected.activations.keys()
    stats = jaxnext_runs.in_torch(setting, tiny, {"batch_stats": found.batch_stats})
    assert stats.keys() == expected.batch_stats.keys()
    pairs = {name: (array, expected.activations[name]) for name, array in found.activations.items()}
    pairs |= {name: (array, expected.batch_stats[name]) for name, array in stats.items()}
    pairs |= {name: (getattr(found, name), getattr(expected, name)) for name in ("evaluation", "training", "loss")}
    errors = {name: relative_error(*pair) for name, pair in pairs.items()}
    gradients = jaxnext_runs.in_torch(setting, tiny, {"params": found.gradients})
    norms = {name: float(np.linalg.norm(leaf)) for name, leaf in expected.gradients.items()}
    whole = float(np.linalg.norm(list(norms.values())))
    # Zero in truth, a bias before a batch norm: compared as a part of the whole gradient.
    zero = {name for name, size in norms.items() if size < 1e-10 * whole}
    assert zero == ({"fc.0.bias", "fc.4.bias"} if "fc" in setting else set())
    leaves = torch_runs.gradient_errors(gradients, expected.gradients)
    leaves = {name: error / (whole if name in zero else norms[name]) for name, error in leaves.items()}
    for kind, each in (("forward", errors), ("gradient", leaves)):
        worst = max(each, key=lambda name: each[name])
        print(f"{setting}: {kind}, worst {worst} {each[worst]:.1e}")
    assert max(errors.values()) <= FLOAT64_FORWARD, errors
    assert max(leaves.values()) <= FLOAT64_GRADIENT, leaves


@pytest.mark.slow
@pytest.mark.parametrize("setting", [*LIVE, *LIVE_NETS])
def test_one_batch_of_the_tiny_net_in_double(setting: str) -> None:
    compare_double(setting, tiny=True, size=ODD_SIZE)


@pytest.mark.slow
@pytest.mark.full_size
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("setting", [*SETTINGS, *NETS])
def test_one_batch_of_the_full_size_in_double(setting: str) -> None:
    compare_double(setting, tiny=False, size=named_values.IMAGE_SIZE)


# ---- single precision ----


@functools.cache
def kink_free(seed: int) -> str:
    """A name of images for which no value of the tiny nets lies where float32 may put it on a kink's other side."""
    weights = named_values.weights(torch_runs.shapes_of("fc_cbam", True), seed)  # the other settings' are among these
    names = (f"single {number}" for number in range(200))
    return next(
        name
        for name in names
        if not any(torch_runs.kinks("fc_cbam", True, weights, named_values.images(name, ODD_SIZE, seed)).values())
    )


def compare_single(setting: str, tiny: bool, size: int, draws: list[tuple[int, str]]) -> None:
    """Logits, first loss and gradients in float32 against float64.

    Each draw is a seed and the name of the images. A leaf's error is the root mean square over the draws: in a single
    one its rounding errors may happen to cancel, here or in PyTorch.
    """
    errors = [single_errors(setting, tiny, size, *draw) for draw in draws]
    ratios = {
        name: float(np.linalg.norm([ours[name] for ours, _ in errors]))
        / float(np.linalg.norm([limits[name] for _, limits in errors]))
        for name in errors[0][0]
    }
    worst = max(ratios, key=lambda name: ratios[name])
    print(f"{setting}: median ratio {np.median(list(ratios.values())):.2f}, worst {worst} {ratios[worst]:.2f}")
    assert ratios[worst] <= FLOAT32_GRADIENT_FACTOR, worst


def single_errors(
    setting: str, tiny: bool, size: int, seed: int, name: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Each leaf's error here and PyTorch's own, relative to the whole gradient."""
    weights = named_values.weights(torch_runs.shapes_of(setting, tiny), seed)
    images, labels = named_values.images(name, size, seed), named_values.labels(name, seed)
    exact = torch_runs.both_modes(setting, tiny, "float64", weights, images, labels)
    found = jaxnext_runs.both_modes(setting, tiny, "float32", weights, images, labels)
    assert found.evaluation.dtype == np.float32
    assert relative_error(found.evaluation, exact.evaluation) <= FLOAT32_LOGITS
    assert relative_error(found.training, exact.training) <= FLOAT32_LOGITS
    assert relative_error(found.loss, exact.loss) <= FLOAT32_FIRST_LOSS

    own = torch_runs.float32_gradients(setting, tiny, weights, images, labels)
    theirs = [torch_runs.gradient_errors(gradients, exact.gradients) for gradients in own]
    limits = {leaf: max(each[leaf] for each in theirs) for leaf in exact.gradients}
    whole = float(np.linalg.norm([np.linalg.norm(gradient) for gradient in exact.gradients.values()]))
    for leaf, gradient in exact.gradients.items():
        if np.linalg.norm(gradient) < 1e-10 * whole:  # zero in truth: compared as a part of the whole gradient
            assert leaf in ("fc.0.bias", "fc.4.bias")
            limits[leaf] = max(float(np.linalg.norm(list(each.values()))) for each in theirs)
    gradients = jaxnext_runs.in_torch(setting, tiny, {"params": found.gradients})
    ours = torch_runs.gradient_errors(gradients, exact.gradients)
    return {leaf: e / whole for leaf, e in ours.items()}, {leaf: e / whole for leaf, e in limits.items()}


@pytest.mark.slow
@pytest.mark.parametrize("setting", LIVE)
def test_tiny_net_in_single(setting: str) -> None:
    seeds = [SEED, SEED + 1, SEED + 2]
    compare_single(setting, True, ODD_SIZE, [(seed, kink_free(seed)) for seed in seeds])


@pytest.mark.slow
@pytest.mark.full_size
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("setting", SETTINGS)
def test_full_size_at_224_in_single(setting: str) -> None:
    compare_single(setting, False, 224, [(SEED, "224")])


# ---- images ----


RESIZED_MODES = {
    "L": "PNG",
    "RGB": "PNG",
    "RGBA": "PNG",
    "P": "PNG",
    "CMYK": "TIFF",
    "1": "PNG",
    "LA": "PNG",
    "I;16": "PNG",
}
"""Colour modes, and a format without loss that holds them."""
LARGEST = 700


def random_size(rng: np.random.Generator) -> int:
    """Pixels: any number of digits is as likely, 1 to ``LARGEST``."""
    return int(np.exp(rng.uniform(0, np.log(LARGEST + 1))))


@pytest.mark.slow
@pytest.mark.parametrize("mode", RESIZED_MODES)
def test_resize_equals_torchvision(mode: str) -> None:
    """500 files of random height, width, content and target in each colour mode, decoded and resized."""
    resize_as = require()[1].transforms.Resize
    rng = np.random.default_rng([SEED, list(RESIZED_MODES).index(mode)])
    for case in range(500):
        height, width, size = random_size(rng), random_size(rng), random_size(rng)
        file = io.BytesIO()
        in_mode(random_image(rng, height, width), mode, rng).save(file, RESIZED_MODES[mode])
        with Image.open(file) as image:
            assert image.mode == mode
            expected = np.asarray(resize_as((size, size))(image.convert("RGB")))
        np.testing.assert_array_equal(
            resize(decode(file.getvalue(), original(size)), original(size)),
            expected,
            err_msg=f"{mode}, case {case} of seed {SEED}",
        )


def in_mode(image: np.ndarray, mode: str, rng: np.random.Generator) -> Image.Image:
    """A picture in any colour mode; alpha, deep grey and palette are random, too."""
    plain = Image.fromarray(image)
    if mode == "I;16":
        deep = image[:, :, 0].astype(np.uint16) << 8 | rng.integers(0, 256, image.shape[:2]).astype(np.uint16)
        return Image.fromarray(deep)
    if mode == "P":
        return plain.quantize(int(rng.integers(2, 257)))
    changed = plain.convert(mode)
    if mode in ("LA", "RGBA"):
        changed.putalpha(Image.fromarray(image[::-1, :, 1]))
    return changed


def random_image(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Noise, or a smooth ramp, of any contrast."""
    low, high = sorted(rng.integers(0, 257, 2))
    if rng.random() < 0.5:
        return rng.integers(low, high + 1, (height, width, 3)).clip(0, 255).astype(np.uint8)
    ramp = np.linspace(low, high, width)[None, :, None] + np.linspace(0, rng.integers(256), height)[:, None, None]
    return (ramp + rng.uniform(-40, 40, 3)).clip(0, 255).astype(np.uint8)


SIZES = 10
IMAGES = 500


@pytest.mark.slow
@pytest.mark.parametrize("part", range(SIZES))
def test_augmentation_and_normalisation_equal_torchvision(part: int) -> None:
    """500 images in all, of 10 random sizes: a rotation, a jitter in each order and both flips of every one."""
    transforms = require()[1].transforms
    rng = np.random.default_rng([SEED, part])
    size, count = max(2, random_size(rng)), IMAGES // SIZES
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
    affine = np.array([rotation_coefficients(angle, (size, size)) for angle in angles], np.int32)
    compiled = jax.jit(augment)
    for choice, changed in expected.items():
        drawn = Drawn(np.full(count, choice, np.int32), affine, factors, orders)
        found = np.asarray(compiled(images, drawn))
        for row, image in enumerate(changed):
            np.testing.assert_array_equal(
                found[row], np.asarray(image), err_msg=f"choice {choice}, row {row}, part {part} of seed {SEED}"
            )
    preprocess = transforms.Compose([transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
    tensors = np.stack([preprocess(image).numpy().transpose(1, 2, 0) for image in pictures])
    np.testing.assert_array_equal(normalize(jnp.asarray(images), jnp.float32), tensors)
