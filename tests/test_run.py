import json
import math

import jax
import numpy as np
import pytest
from small_run import model_of, train

from jaxnext.config.sections import OPTIMIZERS
from jaxnext.errors import JaxnextError
from jaxnext.metrics import Accumulator


def test_after_a_failure_before_the_first_checkpoint_the_advice_can_be_followed(images, tmp_path):
    with pytest.raises(JaxnextError, match=r"try a smaller --optimizer\.learning_rate"):
        train(tmp_path / "r", images, optimizer=OPTIMIZERS.choose("adam", learning_rate=1e30))
    assert len(train(tmp_path / "r", images, epochs=1).history) == 1


def test_loss_that_is_not_finite_stops_the_run(images, tmp_path):
    with pytest.raises(JaxnextError) as error:
        train(tmp_path / "r", images, optimizer=OPTIMIZERS.choose("adam", learning_rate=1e30))
    assert str(error.value).startswith("the loss is ")
    assert "in epoch 1, step " in str(error.value)
    assert "at learning rate 1e+30; its batch is " in str(error.value)
    assert ", not finite in backbone, attention, head; no checkpoint was made yet; try a smaller --optimizer." in str(
        error.value
    )
    written = json.loads((tmp_path / "r" / "nonfinite.json").read_text())
    assert list(written["gradient_norms"].values()) == ["nan", "nan", "nan"]
    assert all((images / "train").as_posix() in image["path"] for image in written["images"])
    assert len(written["images"]) == 10


def test_last_good_checkpoint_is_kept_when_the_loss_is_not_finite(run, images, tmp_path, monkeypatch):
    train(tmp_path / "r", images, epochs=1)
    good = model_of(tmp_path / "r")[0]
    monkeypatch.setattr(Accumulator, "add", lambda self, sums: math.nan)
    with pytest.raises(JaxnextError, match="the last good checkpoint is kept in"):
        train(tmp_path / "r", images, resume=True, epochs=2)
    monkeypatch.undo()
    jax.tree.map(np.testing.assert_array_equal, model_of(tmp_path / "r")[0], good)


def test_validation_loss_that_is_not_finite_stops_the_run(images, tmp_path, monkeypatch):
    mean = Accumulator.mean

    def infinite_at_validation(self, name):
        return math.inf if name == "loss" and int(self.sums["count"]) == 24 else mean(self, name)

    monkeypatch.setattr(Accumulator, "mean", infinite_at_validation)
    with pytest.raises(
        JaxnextError, match=r"^the validation loss is inf in epoch 1, at learning rate 0.01; no checkpoint"
    ):
        train(tmp_path / "r", images)
