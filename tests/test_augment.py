"""What every augmentation must be, and lists of them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pixel_cases import random_images

from jaxnext.augment import Augmentation, apply_all, draw_all
from jaxnext.config.mapping import build
from jaxnext.config.sections import AUGMENTATIONS
from jaxnext.errors import JaxnextError

SIZE = (12, 15)
EVERY = AUGMENTATIONS.names()
MODERN = ("random_resized_crop", "horizontal_flip", "trivial_augment_wide", "random_erasing")


def of(*names: str) -> tuple[Augmentation, ...]:
    return tuple(choice.build() for choice in build({"augment": list(names)}).augment)


@pytest.mark.parametrize("name", EVERY)
def test_rows_are_a_function_of_seed_step_and_place(name: str) -> None:
    (augmentation,) = of(name)
    short, long, other, later = (
        jax.tree.leaves(augmentation.draw(seed, step, rows, SIZE))
        for seed, step, rows in ((1, 2, 40), (1, 2, 47), (2, 2, 40), (1, 3, 40))
    )
    assert all(leaf.shape[0] == 40 for leaf in short)
    for one, more in zip(short, long, strict=True):
        assert one.dtype == more.dtype
        np.testing.assert_array_equal(one, more[:40])
    for elsewhere in (other, later):
        assert any((one != more).any() for one, more in zip(short, elsewhere, strict=True))


def test_entries_draw_independently_and_original_in_the_first_place_as_alone() -> None:
    flips = of("horizontal_flip", "vertical_flip")
    first, second = draw_all(flips, 0, 0, 4000, SIZE)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0, abs=0.05)
    (original, jitter), (alone,) = of("original", "color_jitter"), of("original")
    drawn, _ = draw_all((original, jitter), 7, 3, 20, SIZE)
    for one, other in zip(drawn, alone.draw(7, 3, 20, SIZE), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_follows_a_crop_draws_for_its_size() -> None:
    crop, blur = build({"augment": [{"type": "random_resized_crop", "size": 6}, "gaussian_blur"]}).augment
    # A window of 9 fits 6 pixels, and not 4.
    crop_drawn, _ = draw_all((crop.build(), blur.build()), 0, 0, 2, (4, 4))
    assert crop_drawn.row.shape == (2, 6)
    smaller = build({"augment": [{"type": "random_resized_crop", "size": 4}]}).augment[0].build()
    with pytest.raises(JaxnextError, match=re.escape("at most 7 for images of [4, 4] pixels")):
        draw_all((smaller, blur.build()), 0, 0, 2, (40, 40))


def test_no_augmentation() -> None:
    images = jnp.asarray(random_images(2, *SIZE))
    assert draw_all((), 0, 0, 2, SIZE) == ()
    assert apply_all((), images, ()) is images


@pytest.mark.slow
def test_devices_change_nothing() -> None:
    augmentations, devices = of(*MODERN), jax.devices()
    mesh, spec = jax.sharding.Mesh(np.array(devices), ("data",)), jax.sharding.PartitionSpec("data")
    images = random_images(8 * len(devices), *SIZE)
    drawn = draw_all(augmentations, 5, 6, len(images), SIZE)

    def apply(images, drawn):
        return apply_all(augmentations, images, drawn)

    whole = np.asarray(jax.jit(apply)(images, drawn))
    sharded = jax.jit(jax.shard_map(apply, mesh=mesh, in_specs=(spec, spec), out_specs=spec))
    np.testing.assert_array_equal(sharded(images, drawn), whole)
    assert (whole != images).any((1, 2, 3)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_pixels_are_the_same_at_once_in_parts_and_with_64_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (augmentation,) = of(name)
    images, drawn = random_images(24, *SIZE), augmentation.draw(7, 8, 24, SIZE)
    expected = np.asarray(jax.jit(augmentation.apply)(images, drawn))
    assert expected.dtype == np.uint8
    assert (expected != images).any()
    half = jax.tree.map(lambda leaf: leaf[12:], drawn)
    np.testing.assert_array_equal(jax.jit(augmentation.apply)(images[12:], half), expected[12:])
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        found = jax.jit(lambda *arguments: augmentation.apply(*arguments))(images, drawn)
    np.testing.assert_array_equal(found, expected)

    # As on an accelerator.
    def at_once(*arguments, cpu, default):
        return default(*arguments)

    monkeypatch.setattr(jax.lax, "platform_dependent", at_once)
    found = jax.jit(lambda *arguments: augmentation.apply(*arguments))(images, drawn)
    np.testing.assert_array_equal(found, expected)
