from pathlib import Path

import numpy as np
import pytest
import small_run

from jaxnext.data.pixels import Pixels
from jaxnext.errors import JaxnextError
from jaxnext.inference.export_check import Comparison, differences, given_images, in_batches, made_images

LOGITS = np.array([[10.0, -4, 2], [0.001, 0, -3]], np.float32)


def logarithms(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def test_logits_or_logarithms_of_probabilities_are_the_same_answer() -> None:
    assert differences(LOGITS, LOGITS, "x") == Comparison(0.0, 0)
    found = differences(LOGITS, logarithms(LOGITS), "x")
    assert (found.error < 1e-7, found.level) == (True, 0)
    # 0.0005 of 10.
    assert differences(LOGITS, LOGITS + np.array([[0.0005, 0, 0], [0, 0, 0]]), "x").error == pytest.approx(5e-5)


def test_a_label_may_be_another_where_classes_are_level() -> None:
    found = differences(LOGITS, LOGITS + np.array([[0, 0, 0], [-0.0006, 0.0006, 0]]), "x")
    assert found == (pytest.approx(6e-5), 1)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        # One logit; all logits of an image, which leaves its probabilities as they are; none at all.
        (np.array([[0, 0, 0], [0, 0, 0.0011]]), "0.00011"),
        (np.array([[0, 0, 0], [0.01, 0.01, 0.01]]), "0.001"),
        (np.array([[0, 0, 0], [0, 0, np.nan]]), "nan"),
        (np.array([[0, 0, 0], [0, 0, -np.inf]]), "inf"),
    ],
)
def test_what_is_off(change: np.ndarray, shown: str) -> None:
    with pytest.raises(JaxnextError) as error:
        differences(LOGITS, LOGITS + change, "net.onnx")
    assert str(error.value) == (
        f"net.onnx: expected the net's logits to 0.0001 of the largest, found them off by {shown} of it; "
        "nothing was written"
    )


def test_other_classes() -> None:
    with pytest.raises(JaxnextError, match=r"^x: expected logits \[2, 3\] as the net's, found \[2, 2\]$"):
        differences(LOGITS, LOGITS[:, :2], "x")


def test_made_images_are_smooth_and_always_the_same() -> None:
    images = np.stack(made_images(Pixels((40, 60))))
    assert (images.shape, images.dtype) == ((8, 40, 60, 3), np.uint8)
    assert (images == np.stack(made_images(Pixels((40, 60))))).all()
    wide = images.astype(int)
    assert np.abs(np.diff(wide, axis=2)).mean() < 10 < 40 < wide.std()


def test_the_last_of_several_batches_is_padded() -> None:
    shapes: list[tuple[int, ...]] = []

    def sums(part: np.ndarray) -> np.ndarray:
        shapes.append(part.shape)
        return part.astype(int).sum((1, 2, 3))

    images = np.arange(11, dtype=np.uint8).reshape(11, 1, 1, 1).repeat(3, axis=3)
    assert in_batches(sums, images).tolist() == [3 * i for i in range(11)]  # pyright: ignore
    assert shapes == [(8, 1, 1, 3)] * 2
    assert in_batches(sums, images[:3]).tolist() == [0, 3, 6]  # pyright: ignore
    assert shapes[2:] == [(3, 1, 1, 3)]


def test_given_images_are_spread_and_not_resized(tmp_path: Path) -> None:
    for i in range(40):
        small_run.picture("3", i).save(tmp_path / f"{i:02d}.png")
    images = given_images([tmp_path], Pixels((16, 16)), print)
    assert (len(images), images[0].shape) == (32, (20, 24, 3))
    assert (images[0] == np.asarray(small_run.picture("3", 0))).all()
    assert (images[-1] == np.asarray(small_run.picture("3", 39))).all()
    (tmp_path / "00.png").write_bytes(b"")
    with pytest.raises(JaxnextError) as error:
        given_images([tmp_path / "00.png", tmp_path / "01.png"], Pixels((16, 16)), print)
    assert str(error.value) == f"{tmp_path / '00.png'}: the image cannot be read (the file is empty)"
