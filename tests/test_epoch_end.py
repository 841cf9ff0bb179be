import pytest
import small_run
from small_run import fit_with, metrics, spoiled, train

from jaxnext.config.sections import OPTIMIZERS, SCHEDULES
from jaxnext.errors import JaxnextError


def test_plateau_lowers_the_learning_rate_of_the_next_epoch(images, tmp_path):
    train(
        tmp_path / "r",
        images,
        epochs=3,
        optimizer=OPTIMIZERS.choose("adam", learning_rate=1e-6),
        schedule=SCHEDULES.choose("plateau", patience=0, threshold=0.9),
    )
    assert [r["learning_rate"] for r in metrics(tmp_path / "r")] == [1e-6, 1e-6, pytest.approx(1e-7)]


def test_without_a_validation_image_the_run_ends(tmp_path):
    path = spoiled(tmp_path / "data", *(f"val/{name}/0.jpg" for name in small_run.CLASSES))
    with pytest.raises(JaxnextError) as error:
        fit_with(tmp_path / "r", path, [], on_corrupt="skip")
    assert str(error.value) == (
        f"expected validation images, found that not one can be read; {tmp_path / 'r' / 'corrupt.csv'} has the reasons"
    )
    assert len((tmp_path / "r" / "corrupt.csv").read_text().splitlines()) == 13
