import dataclasses

import pytest
import small_run
from small_run import (
    assert_same_model,
    fit_with,
    metrics,
    run_env,
    spoiled,
    train,
)

from jaxnext.config.sections import OPTIMIZERS
from jaxnext.config.yaml_text import load_config
from jaxnext.errors import JaxnextError, UsageError


@pytest.mark.slow
def test_resume_with_more_epochs_is_the_longer_run(run, images, tmp_path):
    train(tmp_path / "r", images, epochs=2)
    train(tmp_path / "r", images, resume=True, epochs=4)
    assert_same_model(tmp_path / "r", run)


@pytest.mark.slow
def test_resume_with_fewer_epochs_than_are_done(run, images):
    with pytest.raises(UsageError) as error:
        train(run, images, resume=True, epochs=2, checkpoint_every=3)
    assert str(error.value) == "epochs: expected at least the 4 that this run has begun, found 2"
    assert load_config(run / "config.yaml").epochs == 4


@pytest.mark.slow
def test_starting_from_a_run_with_the_same_classes_takes_every_part(run, images, tmp_path):
    lines = []
    model = small_run.config(images).model
    train(
        tmp_path / "r",
        images,
        env=run_env(lines=lines),
        epochs=1,
        model=dataclasses.replace(model, weights=str(run)),
        optimizer=OPTIMIZERS.choose("adam", learning_rate=1e-6),
    )
    assert [f"{part}: from {run}" in lines for part in ("backbone", "attention", "head")] == [True] * 3
    # Nothing is learnt at this rate: a fresh net would guess.
    assert metrics(tmp_path / "r")[0]["val_accuracy"] > 0.5


@pytest.mark.slow
def test_asked_to_stop_while_verifying_it_compiles_nothing(images, tmp_path):
    lines: list[str] = []
    fit_with(tmp_path / "r", images, lines, verify=True, stop=lambda: True)
    assert not any(line.startswith("compiled") for line in lines)
    assert lines[-1].startswith("stopped and saved")


@pytest.mark.slow
def test_a_scan_finds_all_corrupt_images_before_anything_is_trained(tmp_path):
    path, lines = spoiled(tmp_path / "data", "train/3/1.jpg", "val/7/0.jpg"), []
    with pytest.raises(JaxnextError, match=r"^2 of 36 images cannot be read and are listed above"):
        fit_with(tmp_path / "r", path, lines, verify=True)
    assert lines[-2:] == [
        f"{path / 'train/3/1.jpg'}: the image cannot be read (not an image that Pillow can read)",
        f"{path / 'val/7/0.jpg'}: the image cannot be read (not an image that Pillow can read)",
    ]
    assert not (tmp_path / "r").exists()
    lines.clear()
    fit_with(tmp_path / "r", path, lines, verify=True, on_corrupt="skip", epochs=1)
    assert "verified 36 images: 2 cannot be read" in lines
    assert len((tmp_path / "r" / "corrupt.csv").read_text().splitlines()) == 3
