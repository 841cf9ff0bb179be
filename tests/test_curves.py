import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Annotation
from PIL import Image

from jaxnext.errors import JaxnextError
from jaxnext.reporting.curves import curve, draw_curves


def history_of(epochs: int, falls: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """Records whose validation accuracy is highest in the last epoch but one."""
    return [
        {
            "epoch": epoch,
            "train_loss": 2 / epoch,
            "val_loss": 2 / epoch + 0.1,
            "train_accuracy": 1 - 0.5 / epoch,
            "val_accuracy": 0.9 - 0.5 / epoch - 0.2 * (epoch == epochs > 1),
            "learning_rate": 1e-3 * 0.25 ** sum(fall <= epoch for fall in falls),
        }
        for epoch in range(1, epochs + 1)
    ]


def labels(figure: Any) -> list[tuple[str, float]]:
    found = [child for child in figure.axes[0].get_children() if isinstance(child, Annotation)]
    return [(label.get_text(), label.xy[0]) for label in found]


@pytest.mark.parametrize("history", [history_of(1), history_of(20, (14,)), history_of(60, (20, 40, 50))])
def test_pictures(tmp_path: Path, history: list[dict[str, Any]]) -> None:
    draw_curves(history, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accuracy.png", "loss.png"]
    for name in ("loss", "accuracy"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.format == "PNG"
            assert picture.size == (840, 504)
            assert len(picture.convert("RGB").getcolors(840 * 504) or ()) > 100


def test_pictures_are_redrawn(tmp_path: Path) -> None:
    draw_curves(history_of(1), tmp_path)
    first = (tmp_path / "loss.png").read_bytes()
    draw_curves(history_of(2), tmp_path)
    assert (tmp_path / "loss.png").read_bytes() != first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accuracy.png", "loss.png"]


@pytest.mark.parametrize("name", ["loss", "accuracy"])
def test_lines_hold_the_history(name: str) -> None:
    history = history_of(5)
    train, val = curve(history, name).axes[0].get_lines()
    assert list(train.get_xdata()) == [1, 2, 3, 4, 5]  # pyright: ignore[reportArgumentType]
    assert list(train.get_ydata()) == [record[f"train_{name}"] for record in history]  # pyright: ignore[reportArgumentType]
    assert list(val.get_ydata()) == [record[f"val_{name}"] for record in history]  # pyright: ignore[reportArgumentType]
    assert (train.get_label(), val.get_label()) == ("training", "validation")


def test_the_ring_is_on_the_first_best_epoch() -> None:
    history = history_of(4)
    history[1]["val_accuracy"] = history[2]["val_accuracy"] = 0.875
    axes = curve(history, "loss").axes[0]
    assert axes.get_title("left") == "Loss (ring: best validation accuracy, 87.50% in epoch 2)"
    assert np.asarray(axes.collections[0].get_offsets()).tolist() == [[2, history[1]["val_loss"]]]


def test_reductions_are_marked_between_the_epochs() -> None:
    assert labels(curve(history_of(20, (14,)), "loss")) == [("learning rate 0.00025", 13.5)]
    assert labels(curve(history_of(60, (20, 40)), "accuracy")) == [
        ("learning rate 0.00025", 19.5),
        ("learning rate 6.25e-05", 39.5),
    ]
    assert labels(curve(history_of(20), "loss")) == []


def test_labels_that_would_cover_each_other_are_left_out_and_their_lines_stay() -> None:
    figure = curve(history_of(80, (40, 41, 42)), "loss")
    assert [place for _, place in labels(figure)] == [39.5, 41.5]
    assert len(figure.axes[0].get_lines()) == 2 + 3


def test_of_a_rate_that_falls_in_each_of_a_thousand_epochs_some_lines_are_drawn() -> None:
    history = [record | {"learning_rate": 1 / record["epoch"]} for record in history_of(1000)]
    figure = curve(history, "loss")
    assert [place for _, place in labels(figure)] == [1.5 + 25 * i for i in range(40)]
    assert len(figure.axes[0].get_lines()) == 2 + 40


def test_one_epoch_is_not_at_the_edge() -> None:
    axes = curve(history_of(1), "loss").axes[0]
    assert axes.get_xlim() == (0.5, 1.5)
    low, high = axes.get_ylim()
    assert low == 0
    assert high == pytest.approx(1.05 * 2.1)
    assert [tick for tick in axes.get_xticks() if 0.5 <= tick <= 1.5] == [1]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_a_gap(tmp_path: Path, bad: float) -> None:
    history = history_of(4)
    history[2]["val_loss"] = bad
    assert curve(history, "loss").axes[0].get_ylim() == (0, pytest.approx(1.05 * 2.1))
    draw_curves(history, tmp_path)


def test_a_perfect_network_is_drawn(tmp_path: Path) -> None:
    zero = {"train_loss": 0.0, "val_loss": 0.0, "train_accuracy": 1.0, "val_accuracy": 1.0}
    history = [record | zero for record in history_of(3)]
    assert curve(history, "loss").axes[0].get_ylim() == (0, 1)
    assert curve(history, "accuracy").axes[0].get_ylim() == pytest.approx((0.98, 1.01))
    draw_curves(history, tmp_path)


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    draw_curves(history_of(2), tmp_path)
    before = (tmp_path / "loss.png").read_bytes()

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises((JaxnextError, KeyboardInterrupt), match=r"loss.png: the file cannot be written|^$"):
        draw_curves(history_of(3), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accuracy.png", "loss.png"]
    assert (tmp_path / "loss.png").read_bytes() == before


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "none").write_text("")
    with pytest.raises(JaxnextError, match=r"/none/loss\.png: the file cannot be written \(File exists\)$"):
        draw_curves(history_of(1), tmp_path / "none")
