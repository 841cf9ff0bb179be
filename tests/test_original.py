"""The augmentation against Pillow, pixel by pixel, and the statistics of what is drawn."""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from torch_reference import require

from jaxnext.augment.operations import color
from jaxnext.augment.original import (
    Drawn,
    augment,
    augment_sequentially,
    augment_vectorized,
    draw,
    rotation_coefficients,
)
from jaxnext.errors import JaxnextError
from jaxnext.normalization import IMAGENET_MEAN, IMAGENET_STD, normalize

IDENTITY = (65536, 0, 32768, 0, 65536, 32768)
ORIGINAL = {
    "rotation": 45.0,
    "brightness": 0.2,
    "contrast": 0.2,
    "saturation": 0.2,
    "horizontal_flip": 0.2,
    "vertical_flip": 0.2,
}
FORMULATIONS = {
    "by_platform": jax.jit(augment),
    "sequential": jax.jit(augment_sequentially),
    "vectorized": jax.jit(augment_vectorized),
}


@pytest.fixture(params=["sequential", "vectorized"])
def formulation(request: pytest.FixtureRequest) -> Callable[..., jax.Array]:
    return FORMULATIONS[request.param]


def random_images(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Noise in half of them, in the others smooth colours that leave room for clipping and for even regions."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    ramp = np.linspace(0, 1, size)[None, :, None, None] * rng.uniform(-255, 255, (count, 1, 1, 3))
    smooth = np.clip(rng.uniform(0, 255, (count, 1, 1, 3)) + ramp, 0, 255).astype(np.uint8)
    return np.where(np.arange(count)[:, None, None, None] % 2 == 0, images, smooth)


def parameters(
    choice: int | list[int],
    count: int,
    affine: list[tuple[int, ...]] | None = None,
    factors: np.ndarray | None = None,
    order: np.ndarray | None = None,
) -> Drawn:
    return Drawn(
        np.broadcast_to(np.asarray(choice, np.int32), (count,)),
        np.asarray([IDENTITY] * count if affine is None else affine, np.int32),
        np.asarray(np.ones((count, 3)) if factors is None else factors, np.float32),
        np.asarray(np.tile([0, 1, 2], (count, 1)) if order is None else order, np.int32),
    )


def pillow_jitter(image: np.ndarray, factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    result = Image.fromarray(image)
    for operation in order:
        result = enhancers[operation](result).enhance(float(factors[operation]))
    return np.asarray(result)


# Rotation


@pytest.mark.parametrize("size", [8, 33])
def test_rotations_equal_pillow(size: int, formulation: Callable[..., jax.Array]) -> None:
    special = [0.0, 90.0, 180.0, 270.0, -45.0, 45.0, 1e-9, -1e-9, 1e-15, 180 + 1e-13, 90 - 1e-9, 135.0]
    angles = special + list(np.random.default_rng(size).uniform(-45, 45, 40)) + list(range(-180, 180, 29))
    images = random_images(len(angles), size, seed=size)
    affine = [rotation_coefficients(angle, (size, size)) for angle in angles]
    found = np.asarray(formulation(images, parameters(0, len(angles), affine)))
    for angle, image, result in zip(angles, images, found, strict=True):
        expected = np.asarray(Image.fromarray(image).rotate(angle))
        np.testing.assert_array_equal(result, expected, err_msg=f"{angle} degrees, {size} pixels")


def test_rotations_at_full_size_equal_pillow() -> None:
    """Small images forgive coefficients that are off by one; large ones do not."""
    rng = np.random.default_rng(0)
    angles = [45.0, -45.0, *rng.uniform(-45, 45, 22)]
    images = np.broadcast_to(rng.integers(0, 256, (512, 512, 3), np.uint8), (len(angles), 512, 512, 3))
    affine = [rotation_coefficients(angle, (512, 512)) for angle in angles]
    found = np.asarray(FORMULATIONS["by_platform"](images, parameters(0, len(angles), affine)))
    for angle, result in zip(angles, found, strict=True):
        expected = np.asarray(Image.fromarray(images[0]).rotate(angle))
        assert np.array_equal(result, expected), f"{angle} degrees"


def test_images_that_are_not_square(formulation: Callable[..., jax.Array]) -> None:
    turns = [0.0, 180.0, 90.0, -45.0, 45.0, 33.0]
    images = np.random.default_rng(0).integers(0, 256, (9, 13, 21, 3), np.uint8)
    affine = [rotation_coefficients(angle, (13, 21)) for angle in turns] + [IDENTITY] * 3
    found = np.asarray(formulation(images, parameters([0] * 6 + [2, 3, 1], 9, affine, np.full((9, 3), 0.5))))
    for angle, image, result in zip(turns, images[:6], found[:6], strict=True):
        expected = np.asarray(Image.fromarray(image).rotate(angle))
        np.testing.assert_array_equal(result, expected, err_msg=f"{angle} degrees")
    np.testing.assert_array_equal(found[6], images[6, :, ::-1])
    np.testing.assert_array_equal(found[7], images[7, ::-1])
    np.testing.assert_array_equal(found[8], pillow_jitter(images[8], np.full(3, 0.5), np.arange(3)))


@settings(max_examples=60, deadline=None)
@given(angle=st.floats(-180, 180), size=st.integers(1, 4096))
def test_rotation_keeps_the_centre(angle: float, size: int) -> None:
    a, b, c, d, e, f = rotation_coefficients(angle, (size, size))
    middle = (size - 1) / 2
    assert abs(a * middle + b * middle + c - size * 32768) <= size + 1
    assert abs(d * middle + e * middle + f - size * 32768) <= size + 1


def test_rotation_coefficients_by_name() -> None:
    assert rotation_coefficients(0.0, (512, 512)) == IDENTITY
    assert rotation_coefficients(180.0, (4, 4)) == (-65536, 0, 4 * 65536 - 32768, 0, -65536, 4 * 65536 - 32768)
    assert rotation_coefficients(30.0, (10, 10)) == (56756, -32768, 219735, 32768, 56756, -75177)


# Colour jitter


@pytest.mark.parametrize("size", [9, 32])
def test_jitter_in_every_order_equals_pillow(size: int, formulation: Callable[..., jax.Array]) -> None:
    rng = np.random.default_rng(size)
    extremes = np.array(list(itertools.product([0.0, 1.0, 2.0], repeat=3)))
    factors = np.concatenate([extremes, rng.uniform(0.8, 1.2, (27, 3)), rng.uniform(0, 2, (30, 3))]).astype(np.float32)
    order = np.array(list(itertools.permutations(range(3))))[np.arange(len(factors)) % 6]
    images = random_images(len(factors), size, seed=size)
    found = np.asarray(formulation(images, parameters(1, len(factors), factors=factors, order=order)))
    for row in range(len(factors)):
        expected = pillow_jitter(images[row], factors[row], order[row])
        np.testing.assert_array_equal(found[row], expected, err_msg=f"factors {factors[row]}, order {order[row]}")


def test_contrast_rounds_a_mean_of_one_half_up(formulation: Callable[..., jax.Array]) -> None:
    images = np.zeros((8, 8, 8, 3), np.uint8)
    images[:, :4] = 1
    images[4:, 0, 0] = 0
    found = np.asarray(formulation(images, parameters(1, 8, factors=np.tile([1, 0, 1], (8, 1)))))
    assert (found[:4] == 1).all()
    assert (found[4:] == 0).all()


def test_blend_equals_pillow_for_every_pair_of_bytes() -> None:
    rng = np.random.default_rng(3)
    factors = np.concatenate(
        [[0, 1, 2, 0.5, 1e-9, np.nextafter(np.float32(1), np.float32(0))], rng.uniform(0, 2, 60), np.arange(24) / 10]
    ).astype(np.float32)
    start, end = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8), indexing="ij")
    blend = jax.jit(color.blend)
    found = blend(jnp.int32(start)[None], jnp.int32(end)[None], jnp.asarray(factors)[:, None, None])
    pictures = Image.fromarray(np.ascontiguousarray(start)), Image.fromarray(np.ascontiguousarray(end))
    for factor, result in zip(factors, np.asarray(found), strict=True):
        expected = np.asarray(Image.blend(*pictures, float(factor)))
        np.testing.assert_array_equal(result, expected, err_msg=f"factor {factor!r}")


# Flips, nothing, mixtures


def test_flips_equal_pillow_and_nothing_is_nothing(formulation: Callable[..., jax.Array]) -> None:
    images = random_images(8, 8)
    found = np.asarray(formulation(images, parameters([2, 3, 4, 4, 2, 3, 2, 3], 8)))
    for row in (0, 4, 6):
        np.testing.assert_array_equal(found[row], np.asarray(ImageOps.mirror(Image.fromarray(images[row]))))
    for row in (1, 5, 7):
        np.testing.assert_array_equal(found[row], np.asarray(ImageOps.flip(Image.fromarray(images[row]))))
    np.testing.assert_array_equal(found[2:4], images[2:4])


def test_only_the_choice_counts(formulation: Callable[..., jax.Array]) -> None:
    """Coefficients and factors of what was not chosen are ignored."""
    images = random_images(8, 8)
    choice, turn = [0, 1, 2, 3, 4, 4, 4, 4], rotation_coefficients(20.0, (8, 8))
    dimmed = np.ones((8, 3))
    dimmed[1] = 0.5
    plain = parameters(choice, 8, affine=[turn] + [IDENTITY] * 7, factors=dimmed)
    busy = parameters(choice, 8, affine=[turn] * 8, factors=np.full((8, 3), 0.5))
    np.testing.assert_array_equal(formulation(images, busy), formulation(images, plain))


def test_formulations_agree_on_drawn_parameters() -> None:
    drawn = draw(1, 2, 64, (16, 16), **ORIGINAL | {"horizontal_flip": 0.5, "vertical_flip": 0.5})
    assert set(drawn.choice) == {0, 1, 2, 3, 4}
    images = random_images(64, 16)
    expected = FORMULATIONS["sequential"](images, drawn)
    np.testing.assert_array_equal(FORMULATIONS["vectorized"](images, drawn), expected)
    np.testing.assert_array_equal(FORMULATIONS["by_platform"](images, drawn), expected)


def test_slices_of_a_batch_are_augmented_alike(formulation: Callable[..., jax.Array]) -> None:
    drawn = draw(3, 4, 8, (8, 8), **ORIGINAL)
    images = random_images(8, 8)
    whole = np.asarray(formulation(images, drawn))
    for part in (slice(0, 4), slice(4, 8)):
        np.testing.assert_array_equal(formulation(images[part], Drawn(*(v[part] for v in drawn))), whole[part])


@pytest.mark.parametrize("function", [augment, augment_sequentially, augment_vectorized])
def test_under_shard_map(function: Callable[..., jax.Array]) -> None:
    devices = jax.devices()
    mesh = jax.sharding.Mesh(np.array(devices), ("data",))
    spec = jax.sharding.PartitionSpec("data")
    count = 8 * len(devices)
    images, drawn = random_images(count, 8), draw(5, 6, count, (8, 8), **ORIGINAL)
    sharded = jax.jit(jax.shard_map(function, mesh=mesh, in_specs=(spec, spec), out_specs=spec))
    np.testing.assert_array_equal(sharded(images, drawn), FORMULATIONS["sequential"](images, drawn))


@pytest.mark.parametrize("function", [augment, augment_sequentially, augment_vectorized])
def test_same_pixels_with_64_bit_types_and_strict_promotion(function: Callable[..., jax.Array]) -> None:
    images, drawn = random_images(8, 8), draw(7, 8, 8, (8, 8), **ORIGINAL)
    expected = FORMULATIONS["sequential"](images, drawn)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        # A new function object, or the cache would answer with what was compiled for 32 bits.
        found = jax.jit(lambda *arguments: function(*arguments))(images, drawn)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


# Draw


def test_draw_is_the_recorded_one() -> None:
    drawn = draw(0, 0, 6, (8, 8), **ORIGINAL)
    assert [v.dtype for v in drawn] == [np.int32, np.int32, np.float32, np.int32]
    assert [v.shape for v in drawn] == [(6,), (6, 6), (6, 3), (6, 3)]
    assert drawn.choice.tolist() == [0, 1, 1, 4, 1, 4]
    assert drawn.affine[0].tolist() == [53703, 37563, -57287, -37563, 53703, 205657]
    assert drawn.affine[1:].tolist() == [list(IDENTITY)] * 5
    expected = np.ones((6, 3), np.float32)
    expected[1] = 0.85250586, 1.0289819, 0.90200055
    expected[2] = 0.97180545, 0.8659483, 0.82026386
    expected[4] = 0.9086047, 1.0554336, 1.1360755
    np.testing.assert_array_max_ulp(drawn.factors, expected, maxulp=1)
    assert drawn.order.tolist() == [[2, 1, 0], [2, 1, 0], [1, 0, 2], [1, 0, 2], [0, 1, 2], [2, 1, 0]]


def test_draw_statistics() -> None:
    count = 40_000
    drawn = draw(11, 12, count, (512, 512), **ORIGINAL)
    share = np.bincount(drawn.choice, minlength=5) / count
    np.testing.assert_allclose(share, [0.25, 0.25, 0.05, 0.05, 0.40], atol=0.01)

    rotated = drawn.choice == 0
    angles = np.degrees(np.arctan2(-drawn.affine[rotated, 1], drawn.affine[rotated, 0]))
    assert -45.001 < angles.min() < -44.9
    assert 44.9 < angles.max() < 45.001
    np.testing.assert_allclose(np.histogram(angles, 9, (-45, 45))[0] / rotated.sum(), 1 / 9, atol=0.012)
    assert (drawn.affine[~rotated] == IDENTITY).all()

    jittered = drawn.choice == 1
    factors = drawn.factors[jittered]
    np.testing.assert_allclose(factors.min(axis=0), 0.8, atol=1e-3)
    np.testing.assert_allclose(factors.max(axis=0), 1.2, atol=1e-3)
    np.testing.assert_allclose(factors.mean(axis=0), 1.0, atol=0.005)
    np.testing.assert_allclose(np.corrcoef(factors.T), np.eye(3), atol=0.05)
    assert (drawn.factors[~jittered] == 1).all()

    orders, counts = np.unique(drawn.order[jittered], axis=0, return_counts=True)
    assert orders.tolist() == [list(order) for order in itertools.permutations(range(3))]
    np.testing.assert_allclose(counts / jittered.sum(), 1 / 6, atol=0.015)


def test_draw_follows_its_arguments() -> None:
    never = draw(0, 0, 4000, (8, 8), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert set(never.choice) == {0, 1, 4}
    assert (never.affine == IDENTITY).all()
    assert (never.factors == 1).all()
    always = draw(0, 0, 4000, (8, 8), 180.0, 0.0, 0.5, 1.0, 1.0, 0.0)
    assert set(always.choice) == {0, 1, 2, 4}
    jittered = always.factors[always.choice == 1]
    np.testing.assert_allclose(jittered.min(axis=0), [1.0, 0.5, 0.0], atol=0.01)
    np.testing.assert_allclose(jittered.max(axis=0), [1.0, 1.5, 2.0], atol=0.01)
    assert (always.affine[always.choice == 0, 0] < 0).mean() == pytest.approx(0.5, abs=0.06)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), step=st.integers(0, 2**40), batch_size=st.integers(1, 70), more=st.integers(0, 9)
)
def test_rows_do_not_depend_on_the_batch_size(seed: int, step: int, batch_size: int, more: int) -> None:
    short, long = (draw(seed, step, rows, (32, 32), **ORIGINAL) for rows in (batch_size, batch_size + more))
    for name, left, right in zip(Drawn._fields, short, long, strict=True):
        np.testing.assert_array_equal(left, right[:batch_size], err_msg=name)


def test_steps_and_seeds_differ() -> None:
    draws = [
        draw(seed, step, 64, (32, 32), **ORIGINAL) for seed, step in [(0, 0), (0, 1), (1, 0), (1, 1), (2**32 - 1, 0)]
    ]
    for left, right in itertools.combinations(draws, 2):
        assert (left.order != right.order).any(axis=1).mean() > 0.6
        assert (left.choice != right.choice).mean() > 0.4


def test_too_large_an_image_is_refused() -> None:
    draw(0, 0, 1, (4096, 4096), **ORIGINAL)
    with pytest.raises(JaxnextError) as caught:
        draw(0, 0, 1, (4097, 4097), **ORIGINAL)
    assert str(caught.value) == (
        "data.image_size: expected at most 4096 pixels for the augmentation, or as many in another shape of sides up "
        "to 16384, found [4097, 4097]"
    )


def test_largest_image_keeps_its_grey_mean() -> None:
    """The sum over a white image of the largest size needs all 32 bits."""
    mean = jax.jit(lambda: color.mean(jnp.full((1, 4096, 4096), 255, jnp.int32)))()
    assert mean.tolist() == [[[255]]]


# Live comparison


def test_equals_torchvision() -> None:
    torch, torchvision = require()
    transforms, functional = torchvision.transforms, torchvision.transforms.functional
    torch.manual_seed(0)
    size, count = 32, 40
    rotation, jitter = transforms.RandomRotation(45), transforms.ColorJitter(0.2, 0.2, 0.2)
    images = random_images(count, size)
    choice, affine, factors, order, expected = [], [], [], [], []
    for row, image in enumerate(images):
        picture = Image.fromarray(image)
        angle = rotation.get_params(rotation.degrees)
        turns, brightness, contrast, saturation, _ = jitter.get_params(
            jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue
        )
        turn = [int(operation) for operation in turns if operation < 3]
        adjust = (
            lambda picture, factor=brightness: functional.adjust_brightness(picture, factor),
            lambda picture, factor=contrast: functional.adjust_contrast(picture, factor),
            lambda picture, factor=saturation: functional.adjust_saturation(picture, factor),
        )
        if row % 4 == 0:
            picture = functional.rotate(picture, angle, rotation.interpolation, fill=rotation.fill)
        elif row % 4 == 1:
            for operation in turn:
                picture = adjust[operation](picture)
        elif row % 4 == 2:
            picture = functional.hflip(picture)
        else:
            picture = functional.vflip(picture)
        choice.append(row % 4)
        affine.append(rotation_coefficients(angle, (size, size)))
        factors.append((brightness, contrast, saturation))
        order.append(turn)
        expected.append(picture)
    found = FORMULATIONS["by_platform"](images, parameters(choice, count, affine, np.array(factors), np.array(order)))
    np.testing.assert_array_equal(found, np.stack([np.asarray(picture) for picture in expected]))

    preprocess = transforms.Compose([transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
    tensors = np.stack([preprocess(picture).numpy().transpose(1, 2, 0) for picture in expected])
    np.testing.assert_array_equal(normalize(found, jnp.float32), tensors)


def test_the_fields_of_what_is_drawn_are_in_order() -> None:
    assert Drawn._fields == ("choice", "affine", "factors", "order")


def test_augmentation_travels_through_jax_as_four_leaves() -> None:
    order = np.zeros((2, 3), np.int32)
    one = Drawn(np.zeros(2, np.int32), np.zeros((2, 6), np.int32), np.ones((2, 3), np.float32), order)
    leaves, structure = jax.tree.flatten(one)
    assert [leaf.shape for leaf in leaves] == [(2,), (2, 6), (2, 3), (2, 3)]
    assert isinstance(jax.tree.unflatten(structure, leaves), Drawn)
