"""jaxnext against values that PyTorch and torchvision computed once, in tests/golden; needs neither of them."""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import jaxnext_runs
import named_values
import numpy as np
import pytest
from golden_cases import (
    ANGLES,
    BATCHES,
    FACTORS,
    FLOAT32_DRAWS,
    NETS,
    ODD_SIZE,
    ORDERS,
    PICTURE_SIZES,
    RESIZED,
    SETTINGS,
    SOURCE_SIZES,
    excerpt,
    picture,
    statistics_excerpt,
)
from live_seed import drawn
from square import original
from tolerances import (
    FLOAT32_FIRST_LOSS,
    FLOAT32_GRADIENT_FACTOR,
    FLOAT32_LOGITS,
    FLOAT64_ADAM_STEPS,
    FLOAT64_FORWARD,
    FLOAT64_GRADIENT,
)
from torch_ported import relative_error

from jaxnext.augment.original import Drawn, augment, rotation_coefficients
from jaxnext.data.decode import decode
from jaxnext.data.resize import resize
from jaxnext.normalization import normalize

GOLDEN = pathlib.Path(__file__).parent / "golden"


@functools.cache
def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def state_dict(lines: np.ndarray) -> dict[str, np.ndarray]:
    """PyTorch's weights, rebuilt from the recorded names and shapes."""
    shapes = {name: tuple(map(int, shape)) for name, *shape in (line.split() for line in lines)}
    return named_values.weights(shapes)


@functools.cache
def one_batch(setting: str, precision: Any, draw: tuple[str, int] = FLOAT32_DRAWS[0]) -> jaxnext_runs.BothModes:
    images, labels = named_values.images(draw[0], ODD_SIZE, draw[1]), named_values.labels(*draw)
    weights = state_dict(golden(setting)["state"])
    return jaxnext_runs.both_modes(setting, True, precision, weights, images, labels)


# ---- networks ----


# Another one than test_exact compares live; the others are run by -m full_size.
GONE_FURTHER = drawn(SETTINGS, further=2)
WITH_NETS = [net if net == "fc_cbam" else pytest.param(net, marks=pytest.mark.slow) for net in (*SETTINGS, *NETS)]


@pytest.mark.parametrize("setting", WITH_NETS)
def test_activations_and_logits_in_double(setting: str) -> None:
    recorded, found = golden(setting), one_batch(setting, "float64")
    stages = {"stem", "stage2", "stage3", "stage4", "stage5"} | ({"cbam"} if "cbam" in setting else set())
    stages |= {"head/activation1", "head/activation2"} if "fc" in setting else set()
    assert found.activations.keys() == stages
    for name, array in found.activations.items():
        assert relative_error(excerpt(array), recorded[f"activations/{name}"]) <= FLOAT64_FORWARD, name
        sketch = named_values.sketch(name, array)
        assert named_values.sketch_error(sketch, recorded[f"activation_sketch/{name}"], array.size) <= FLOAT64_FORWARD
    assert found.evaluation.dtype == np.float64
    assert relative_error(found.evaluation, recorded["evaluation"]) <= FLOAT64_FORWARD
    assert relative_error(found.training, recorded["training"]) <= FLOAT64_FORWARD
    assert relative_error(found.loss, recorded["loss"]) <= FLOAT64_FORWARD


@pytest.mark.parametrize("setting", WITH_NETS)
def test_gradients_in_double(setting: str) -> None:
    recorded = golden(setting)
    found = jaxnext_runs.in_torch(setting, True, {"params": one_batch(setting, "float64").gradients})
    assert found.keys() == set(recorded["gradient_names"])
    whole = np.sqrt(np.sum(recorded["gradient_sketches"][:, 1] ** 2))
    for name, expected in zip(recorded["gradient_names"], recorded["gradient_sketches"], strict=True):
        if expected[1] < 1e-10 * whole:  # a bias before a batch norm: its true gradient is zero
            assert np.linalg.norm(found[name]) <= FLOAT64_GRADIENT * whole, name
            assert name in ("fc.0.bias", "fc.4.bias")
            continue
        error = named_values.sketch_error(named_values.sketch(name, found[name]), expected, found[name].size)
        assert error <= FLOAT64_GRADIENT, name


@pytest.mark.parametrize("setting", WITH_NETS)
def test_running_statistics_after_one_step_in_double(setting: str) -> None:
    recorded = golden(setting)
    found = jaxnext_runs.in_torch(setting, True, {"batch_stats": one_batch(setting, "float64").batch_stats})
    counters = {name for name, array in found.items() if array.ndim == 0}
    assert found.keys() - counters == set(recorded["statistics_names"])
    for row, name in enumerate(recorded["statistics_names"]):
        assert relative_error(statistics_excerpt(found[name]), recorded["statistics"][row]) <= FLOAT64_FORWARD, name
        sketch, expected = named_values.sketch(name, found[name]), recorded["statistics_sketches"][row]
        assert named_values.sketch_error(sketch, expected, found[name].size) <= FLOAT64_FORWARD, name
    assert {int(found[name]) for name in counters} == {4}


@pytest.mark.slow
@pytest.mark.parametrize("setting", GONE_FURTHER)
def test_logits_and_first_loss_in_single(setting: str) -> None:
    recorded, found = golden(setting), one_batch(setting, "float32")
    assert found.evaluation.dtype == np.float32
    assert relative_error(found.evaluation, recorded["evaluation"]) <= FLOAT32_LOGITS
    assert relative_error(found.training, recorded["training"]) <= FLOAT32_LOGITS
    assert relative_error(found.loss, recorded["loss"]) <= FLOAT32_FIRST_LOSS


@pytest.mark.slow
@pytest.mark.parametrize("setting", GONE_FURTHER)
def test_gradients_in_single_are_no_worse_than_pytorchs(setting: str) -> None:
    """Against the float64 gradient, which the tests above hold against PyTorch's; root mean square over three draws."""
    recorded = golden(setting)
    ours, limits = [], []
    for row, draw in enumerate(FLOAT32_DRAWS):
        exact, rounded = (
            jaxnext_runs.in_torch(setting, True, {"params": one_batch(setting, precision, draw).gradients})
            for precision in ("float64", "float32")
        )
        norms = {name: np.linalg.norm(leaf) for name, leaf in exact.items()}
        whole = np.linalg.norm(list(norms.values()))
        names = recorded["gradient_names"]
        # Zero in truth: compared as a part of the whole gradient.
        zero = np.array([norms[name] < 1e-10 * whole for name in names])
        assert set(names[zero]) == ({"fc.0.bias", "fc.4.bias"} if "fc" in setting else set())
        own = np.where(zero, recorded["gradient_float32_error"][row], recorded["gradient_float32_errors"][row])
        limits.append(own / whole)
        ours.append([np.linalg.norm(rounded[name].astype(np.float64) - exact[name]) / whole for name in names])
    ratios = np.linalg.norm(ours, axis=0) / np.linalg.norm(limits, axis=0)
    worst = int(np.argmax(ratios))
    print(f"{setting}: median ratio {np.median(ratios):.2f}, worst {names[worst]} {ratios[worst]:.2f}")
    assert ratios[worst] <= FLOAT32_GRADIENT_FACTOR, names[worst]


@pytest.mark.slow
@pytest.mark.parametrize("setting", GONE_FURTHER)
def test_twenty_steps_of_adam_in_double(setting: str) -> None:
    recorded = golden(setting)
    batches = [(named_values.images(name), named_values.labels(name)) for name in BATCHES]
    made = jaxnext_runs.descent(setting, True, state_dict(recorded["state"]), batches)
    np.testing.assert_allclose(made.learning_rates, recorded["steps/learning_rates"], rtol=1e-15)
    assert 1 < len(set(made.learning_rates)) < 5
    np.testing.assert_allclose(made.losses, recorded["steps/losses"], rtol=FLOAT64_ADAM_STEPS)
    found = [[step[name] for name in recorded["gradient_names"]] for step in made.norms]
    np.testing.assert_allclose(found, recorded["steps/norms"], rtol=FLOAT64_ADAM_STEPS)
    params = jaxnext_runs.in_torch(setting, True, {"params": made.params})
    for name, expected in zip(recorded["gradient_names"], recorded["steps/sketches"], strict=True):
        sketch = named_values.sketch(name, params[name])
        assert named_values.sketch_error(sketch, expected, params[name].size) <= FLOAT64_ADAM_STEPS, name
    stats = jaxnext_runs.in_torch(setting, True, {"batch_stats": made.batch_stats})
    for name, expected in zip(recorded["statistics_names"], recorded["steps/statistics_sketches"], strict=True):
        sketch = named_values.sketch(name, stats[name])
        assert named_values.sketch_error(sketch, expected, stats[name].size) <= FLOAT64_ADAM_STEPS, name


@pytest.mark.slow
@pytest.mark.full_size
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("setting", SETTINGS)
def test_full_size_activations_and_logits_in_double(setting: str) -> None:
    recorded = golden(setting)
    weights = state_dict(recorded["full/state"])
    # The program that test_exact runs on other values.
    images, labels = named_values.images("full size"), named_values.labels("full size")
    found = jaxnext_runs.both_modes(setting, False, "float64", weights, images, labels)
    activations, logits = found.activations, found.evaluation
    for name, array in activations.items():
        assert relative_error(excerpt(array), recorded[f"full/activations/{name}"]) <= FLOAT64_FORWARD, name
        sketch = named_values.sketch(name, array)
        expected = recorded[f"full/activation_sketch/{name}"]
        assert named_values.sketch_error(sketch, expected, array.size) <= FLOAT64_FORWARD, name
    assert relative_error(logits, recorded["full/evaluation"]) <= FLOAT64_FORWARD


# ---- images ----


@pytest.mark.parametrize("mode", SOURCE_SIZES)
def test_decode_and_resize(mode: str) -> None:
    recorded = golden("transforms")
    image = decode(recorded[f"file/{mode}"].tobytes(), original(1))
    assert image.shape == (*SOURCE_SIZES[mode], 3)
    for size in RESIZED:
        np.testing.assert_array_equal(resize(image, original(size)), recorded[f"resize/{mode}/{size}"])


def augmented(size: int, choice: int, rows: int, **drawn: Any) -> np.ndarray:
    """The square picture ``rows`` times, each augmented as drawn."""
    identity = {
        "affine": np.tile(np.array([rotation_coefficients(0.0, (size, size))], np.int32), (rows, 1)),
        "factors": np.ones((rows, 3), np.float32),
        "order": np.tile(np.arange(3, dtype=np.int32), (rows, 1)),
    }
    parameters = Drawn(choice=np.full(rows, choice, np.int32), **identity | drawn)
    return np.asarray(_augment(np.stack([picture("square", size, size)] * rows), parameters))


_augment = jax.jit(augment)


@pytest.mark.parametrize("size", PICTURE_SIZES)
def test_rotation(size: int) -> None:
    affine = np.array([rotation_coefficients(angle, (size, size)) for angle in ANGLES], np.int32)
    found = augmented(size, 0, len(ANGLES), affine=affine)
    np.testing.assert_array_equal(found, golden("transforms")[f"rotation/{size}"])


@pytest.mark.parametrize("size", PICTURE_SIZES)
def test_colour_jitter_in_every_order(size: int) -> None:
    factors, order = np.array(FACTORS, np.float32), np.array(ORDERS, np.int32)
    found = augmented(size, 1, len(ORDERS), factors=factors, order=order)
    np.testing.assert_array_equal(found, golden("transforms")[f"jitter/{size}"])


@pytest.mark.parametrize("size", PICTURE_SIZES)
def test_flips(size: int) -> None:
    recorded = golden("transforms")
    np.testing.assert_array_equal(augmented(size, 2, 8)[0], recorded[f"horizontal_flip/{size}"])
    np.testing.assert_array_equal(augmented(size, 3, 8)[0], recorded[f"vertical_flip/{size}"])


def test_normalize() -> None:
    image = picture("square", PICTURE_SIZES[0], PICTURE_SIZES[0])
    found = np.asarray(jax.jit(normalize, static_argnums=1)(image[None], jnp.float32))[0]
    np.testing.assert_array_equal(found, golden("transforms")["normalize"])


# ---- the files ----


def test_the_files_are_small() -> None:
    assert sum(file.stat().st_size for file in GOLDEN.glob("*.npz")) < 1_000_000


def test_named_values_are_the_recorded_ones() -> None:
    """Were they to change, every comparison above would fail; this says why."""
    assert named_values.weight("conv1.weight", (64, 3, 7, 7)).ravel()[:2].tolist() == [
        0.1854720562696457,
        -0.06783337891101837,
    ]
    assert named_values.weight("bn1.running_var", (64,))[:2].tolist() == [0.804874062538147, 0.9071178436279297]
    assert named_values.labels("one batch", 2).tolist() == [1, 8, 7, 2, 7, 1, 5, 7]
    assert named_values.images("one batch", 36, 2)[0, 0, 0].tolist() == [
        1.4954044818878174,
        0.11115705966949463,
        0.7490975260734558,
    ]
