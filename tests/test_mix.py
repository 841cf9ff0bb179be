import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from scipy import stats
from tolerances import FLOAT64_OPERATION
from torch_reference import require

from jaxnext.engine.parallel import AXIS, mesh_of
from jaxnext.mix import Drawn, Mix, MixedLabels, mix, row_before, symmetric_beta

BOTH = Mix(mixup=0.2, cutmix=1.0, probability=0.75, switch=0.5, steps=100)
SIZE = (7, 5)


# ---- what is drawn ----


def test_it_follows_from_seed_and_step_and_never_changes() -> None:
    found = [BOTH.draw(3, step, SIZE, 1, np.float64) for step in range(4)]
    assert [f"{each.pixels[0, 0]:.12f} {each.labels[0, 0]:.12f} {each.box[0].tolist()}" for each in found] == DRAWN
    other = BOTH.draw(4, 3, SIZE, 1, np.float64)
    assert any((one != another).any() for one, another in zip(other, found[3], strict=True))


DRAWN = [
    "1.000000000000 1.000000000000 [0, 0, 0, 0]",
    "1.000000000000 1.000000000000 [0, 0, 0, 0]",
    "1.000000000000 0.771428571429 [3, 7, 2, 4]",
    "0.950362887359 0.950362887359 [0, 0, 0, 0]",
]


def kind(drawn: Drawn) -> str:
    """What a batch has."""
    (pixels, _), (labels, _) = drawn.pixels[0], drawn.labels[0]
    if drawn.box.any():
        assert pixels == 1
        return "cutmix"
    return "mixup" if pixels != 1 else "cutmix" if labels != 1 else "none"


def shares_of(mixing: Mix, steps: int = 400) -> dict[str, float]:
    kinds = [kind(mixing.draw(0, step, (64, 64), 1)) for step in range(steps)]
    return {name: kinds.count(name) / steps for name in ("none", "mixup", "cutmix")}


def test_share_of_the_batches_and_of_cutmix_among_them() -> None:
    found = shares_of(dataclasses.replace(BOTH, mixup=1.0, switch=0.8, steps=1000))
    # Within three standard deviations.
    assert found["none"] == pytest.approx(0.25, abs=0.065)
    assert found["cutmix"] == pytest.approx(0.6, abs=0.075)
    assert shares_of(BOTH, 100)["mixup"] > 0.2


@pytest.mark.parametrize(("name", "other"), [("mixup", "cutmix"), ("cutmix", "mixup")])
def test_one_alone_has_all(name: str, other: str) -> None:
    alone = dataclasses.replace(BOTH, **{other: 0.0}, probability=1.0)
    # Beta(0.2, 0.2) and boxes cut off by the edge may leave all as it is.
    assert shares_of(alone, 100)[name] > 0.9
    assert shares_of(alone, 100)[other] == 0


def test_the_last_steps_are_not_mixed() -> None:
    always = dataclasses.replace(BOTH, probability=1.0, mixup=1.0, steps=5)
    assert [kind(always.draw(0, step, (64, 64), 1)) != "none" for step in range(8)] == [True] * 5 + [False] * 3


def test_every_device_has_the_same() -> None:
    drawn = BOTH.draw(3, 0, SIZE, 4)
    assert [array.dtype.name for array in drawn] == ["float32", "float32", "int32"]
    for array in drawn:
        assert len(array) == 4
        np.testing.assert_array_equal(array, np.repeat(array[:1], 4, 0))


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.7, 1.0, 8.0])
def test_symmetric_beta(alpha: float) -> None:
    random = np.random.default_rng(0)
    drawn = [symmetric_beta(alpha, random.random) for _ in range(1000)]
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_a_tiny_alpha_gives_shares_of_almost_0_or_1() -> None:
    random = np.random.default_rng(0)
    drawn = np.array([symmetric_beta(1e-3, random.random) for _ in range(200)])
    assert ((drawn < 1e-6) | (drawn > 1 - 1e-6)).mean() > 0.95
    assert 60 < (drawn > 0.5).sum() < 140


def sequence(*values: float) -> Any:
    """In place of the random numbers."""
    return lambda seed, step: functools.partial(next, iter(values))


def test_a_box_is_cut_off_at_the_edge_and_its_area_is_the_partners_share(monkeypatch: pytest.MonkeyPatch) -> None:
    # Mixed; Beta(1, 1) of radius 1 and cosine -0.5 is 0.25; of 8 by 12 pixels around x 10, y 4.
    monkeypatch.setattr("jaxnext.mix._uniform", sequence(0.0, 1.0 - 2**-53, 1 / 3, 10.5 / 12, 4.5 / 8))
    drawn = dataclasses.replace(BOTH, mixup=0.0).draw(0, 0, (8, 12), 1, np.float64)
    # Half of the sides times the root of 0.75: 3.46 and 5.2 pixels to each side.
    assert drawn.box.tolist() == [[1, 7, 5, 12]]
    np.testing.assert_allclose(drawn.labels, [[1 - 42 / 96, 42 / 96]], rtol=1e-15)
    assert drawn.pixels.tolist() == [[1.0, 0.0]]


# ---- what is done with it ----


def mixer(devices: int) -> Callable[..., Any]:
    def both(images: Any, labels: Any, mask: Any, drawn: Drawn) -> tuple[Any, Any]:
        mixed, of = mix(images, labels, mask, drawn, AXIS)
        return mixed, of.probabilities(jnp.zeros((len(labels), 3), jnp.promote_types(images.dtype, jnp.float32)))

    split = PartitionSpec(AXIS)
    mesh = mesh_of(jax.devices()[:devices])
    return jax.jit(jax.shard_map(both, mesh=mesh, in_specs=(split,) * 4, out_specs=split, check_vma=False))


def drawn_of(pixels: float, labels: float, box: tuple[int, ...], devices: int = 1, dtype: Any = np.float64) -> Drawn:
    rows = ([pixels, 1 - pixels], dtype), ([labels, 1 - labels], dtype), (box, np.int32)
    return Drawn(*(np.tile(np.array(values, kind), (devices, 1)) for values, kind in rows))


MIXUP, CUTMIX = (0.3, 0.3, (0, 0, 0, 0)), (1.0, 0.8, (1, 4, 2, 5))


@pytest.mark.parametrize("drawn", [MIXUP, CUTMIX])
def test_equals_torchvision(drawn: tuple[float, float, tuple[int, ...]]) -> None:
    torch, _ = require()
    from torchvision.transforms import v2

    random = np.random.default_rng(0)
    images, labels = random.standard_normal((4, *SIZE, 3)), np.array([0, 1, 2, 2], np.int32)
    pixels, share, (top, bottom, left, right) = drawn
    theirs = v2.MixUp(num_classes=3) if drawn == MIXUP else v2.CutMix(num_classes=3)
    parameters = {"lam": pixels} if drawn == MIXUP else {"box": (left, top, right, bottom), "lam_adjusted": share}
    theirs.make_params = lambda inputs: parameters
    expected, targets = theirs(torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels.astype(np.int64)))
    with jax.enable_x64(True):
        found, probabilities = mixer(1)(images, labels, np.ones(4, bool), drawn_of(*drawn))
    np.testing.assert_allclose(found, expected.numpy().transpose(0, 2, 3, 1), rtol=FLOAT64_OPERATION)
    # torchvision's labels are float32.
    np.testing.assert_allclose(probabilities, targets.numpy(), rtol=1e-7)


MASKS = ("11111111", "11111000", "10000000", "00010000", "01100101", "00110001", "00000011")


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_the_partner_is_the_row_before_that_counts_on_however_many_devices(devices: int) -> None:
    images = np.arange(8, dtype=np.float32).reshape(8, 1, 1, 1) + 1
    run = mixer(devices)
    for text in MASKS:
        mask = np.array([digit == "1" for digit in text])
        counted = np.flatnonzero(mask)
        partner = np.zeros(8, int)
        partner[counted] = np.roll(counted, 1)
        drawn = drawn_of(0.75, 0.75, (0, 0, 0, 0), devices, np.float32)
        found, probabilities = run(images, np.arange(8, dtype=np.int32) % 3, mask, drawn)
        expected = 0.75 * images + 0.25 * images[partner]
        np.testing.assert_array_equal(np.asarray(found)[mask], expected[mask], err_msg=text)
        targets = 0.75 * np.eye(3)[np.arange(8) % 3] + 0.25 * np.eye(3)[partner % 3]
        np.testing.assert_array_equal(np.asarray(probabilities)[mask], targets[mask], err_msg=text)


def test_nothing_drawn_leaves_every_bit() -> None:
    images = np.random.default_rng(0).standard_normal((8, *SIZE, 3)).astype(np.float32)
    labels = np.arange(8, dtype=np.int32) % 3
    drawn = drawn_of(1.0, 1.0, (0, 0, 0, 0), dtype=np.float32)
    found, probabilities = mixer(1)(images, labels, np.ones(8, bool), drawn)
    np.testing.assert_array_equal(found, images)
    np.testing.assert_array_equal(probabilities, np.eye(3)[labels])


def test_bfloat16_is_blended_in_float32() -> None:
    images = jnp.array([256.0, 1.0], jnp.bfloat16).reshape(2, 1, 1, 1)
    drawn = drawn_of(0.501, 0.501, (0, 0, 0, 0), dtype=np.float32)
    found, _ = mixer(1)(images, np.zeros(2, np.int32), np.ones(2, bool), drawn)
    assert found.dtype == jnp.bfloat16
    # 0.501 is 0.5 in bfloat16: 256 and 1 would be 128.5, rounded 128.
    assert (
        found.ravel().tolist() == [jnp.bfloat16(0.501 * 256 + 0.499), jnp.bfloat16(0.501 + 0.499 * 256)] == [129, 128]
    )


def test_no_more_than_a_row_leaves_a_device() -> None:
    rows = 8
    images = jax.ShapeDtypeStruct((rows, 16, 16, 3), jnp.float32)
    labels, mask = (jax.ShapeDtypeStruct((rows,), dtype) for dtype in (jnp.int32, bool))
    text = mixer(4).lower(images, labels, mask, drawn_of(*MIXUP, 4, np.float32)).compile().as_text()
    found = re.findall(r"= \(?(.*?)\)? (all-\w+|reduce-scatter|collective-\w+)(?:-start)?\(", text)
    sent = sorted((name, re.sub(r"\{[\d,]*\}|/\*.*?\*/", "", shapes)) for shapes, name in found)
    assert sent == SENT


SENT = [("all-reduce", "s32[4]"), ("collective-permute", "f32[16,16,3]"), ("collective-permute", "s32[]")]
"""Which devices have a row that counts, and one row with its label."""


def test_a_row_is_handed_on_by_devices_that_have_none() -> None:
    mesh, split = mesh_of(jax.devices()[:4]), PartitionSpec(AXIS)
    before = jax.jit(
        jax.shard_map(
            lambda row, has: row_before(row, has[0], AXIS),
            mesh=mesh,
            in_specs=(split, split),
            out_specs=split,
            check_vma=False,
        )
    )
    rows = np.arange(4)
    for has, expected in (
        ("1111", [3, 0, 1, 2]),
        ("1010", [2, 0, 0, 2]),
        ("0100", [1, 1, 1, 1]),
        ("1001", [3, 0, 0, 0]),
    ):
        assert before(rows, np.array([digit == "1" for digit in has])).tolist() == expected


def test_the_larger_share_is_what_counts_as_correct() -> None:
    own, partner = jnp.array([0, 1]), jnp.array([2, 0])
    for share, expected in ((0.5, [0, 1]), (0.6, [0, 1]), (0.4, [2, 0])):
        assert MixedLabels(own, partner, jnp.array([share, 1 - share])).larger().tolist() == expected
