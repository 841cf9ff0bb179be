"""What earlier versions wrote is read as it was meant."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import small_run
from PIL import Image

import jaxnext
from jaxnext.config.mapping import build, settings
from jaxnext.config.older_formats import RENAMED, upgrade
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import load_config
from jaxnext.engine import run_folder
from jaxnext.engine.checkpoint import FORMAT
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.training.fit import fit

GOLDEN = Path(__file__).parent / "golden"
OLD = GOLDEN / "format1"
"""A run of two epochs on the digits; those of the other formats are the ``best`` of such a run."""


def test_old_settings_stand_where_they_stand_now() -> None:
    old = {
        "checkpoint_every": 5,
        "augment": {"rotation": 10.0},
        "plateau": {"patience": 5},
        "model": {
            "attention": "cbam",
            "reduction": 8,
            "attention_options": {"kernel_size": 3},
            "head": "fc",
            "head_widths": [7],
            "dropout": 0.5,
        },
        "data": {"source": "tfds:pets", "train_split": "train[:50%]", "val_split": None},
    }
    assert upgrade(old) == {
        "checkpoint": {"every_epochs": 5},
        "augment": [{"type": "original", "rotation": 10.0}],
        "schedule": {"type": "plateau", "patience": 5},
        "model": {
            "attention": {"type": "cbam", "reduction": 8, "kernel_size": 3},
            "head": {"type": "fc", "widths": [7], "dropout": 0.5},
        },
        "data": {"source": {"type": "tfds", "name": "pets", "train_split": "train[:50%]", "val_split": None}},
    }


def test_what_had_no_effect_is_left_out() -> None:
    old = {
        "model": {"head": "linear", "head_widths": [7], "attention": "none", "reduction": 4, "head_options": {}},
        "data": {"source": "folder", "train_split": "train", "val_split": None},
    }
    assert build(upgrade(old)) == Config()


def test_new_configs_stay_as_they_are() -> None:
    new = {"model": {"head": {"type": "fc", "dropout": 0.5}}, "augment": ["original"], "schedule": "plateau"}
    assert upgrade(new) == new


def test_every_new_place_exists() -> None:
    keys = {
        setting.key
        for setting in settings(build({"model": {"attention": "cbam", "head": "fc"}, "data": {"source": "tfds"}}))
    }
    assert {new for new in RENAMED.values() if new != "augment.original"} <= keys


RECORDED = {
    1: [0.090437, 0.094933, 0.119791, 0.131718, 0.115942, 0.076662, 0.079566, 0.103799, 0.108002, 0.07915],
    2: [0.095623, 0.091939, 0.116373, 0.130521, 0.115729, 0.074368, 0.078194, 0.107261, 0.108196, 0.081795],
}
"""Of each format what the version that wrote it predicted; 3 and 4 hold the weights of 2."""
TURNED = [0.096589, 0.091396, 0.116062, 0.130024, 0.115337, 0.074313, 0.077985, 0.1075, 0.108686, 0.082109]


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_a_checkpoint_of_each_format_predicts_as_it_did(version: int) -> None:
    image = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(image).save(file, "PNG", exif=exif)
    stored, turned = jaxnext.load(GOLDEN / f"format{version}").predict([image, Image.open(file)])
    np.testing.assert_allclose(stored, RECORDED[min(version, 2)], atol=2e-5)
    # Nets of formats 1 and 2 were trained on images as they are stored, and see them so.
    np.testing.assert_allclose(turned, RECORDED[version] if version <= 2 else TURNED, atol=2e-5)


def test_a_newer_format_is_refused_by_its_number(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / f"format{FORMAT}", tmp_path / "run")
    place = tmp_path / "run" / "checkpoints" / "best" / "1"
    meta = place / "meta" / "metadata"
    meta.write_text(meta.read_text().replace(f'"format": {FORMAT}', f'"format": {FORMAT + 1}'))
    with pytest.raises(JaxnextError) as error:
        jaxnext.load(tmp_path / "run")
    found = f"expected checkpoint format {FORMAT} or an earlier one, found {FORMAT + 1}"
    assert str(error.value) == f"{place}: the checkpoint cannot be read ({found})"


def test_a_run_goes_on_with_the_pixels_it_began_with_or_says_what_would_change() -> None:
    with pytest.raises(UsageError) as error:
        run_folder.check(OLD, load_config(OLD / "config.yaml"), resume=True)
    assert str(error.value) == (
        f"{OLD}: a resumed run may change epochs and nothing that alters the result, found data.orientation was "
        "'stored' and is 'exif', data.depth was 'clip' and is 'scale', data.background was 'ignore' and is 'white'"
    )
    run_folder.check(OLD, load_config(OLD / "config.yaml", written=True), resume=True)


@pytest.mark.slow
def test_a_run_of_format_1_is_resumed_as_it_was(tmp_path: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(OLD, output)
    config = load_config(output / "config.yaml", written=True)
    fields = {field: getattr(config, field) for field in config.__dataclass_fields__}
    progress = fit(Config(**fields | {"epochs": 3}), output, True, small_run.run_env())
    last = progress.history[-1]
    assert len(progress.history) == 3
    assert last["train_loss"] == pytest.approx(1.7061438633437283, rel=1e-4)
    assert last["train_accuracy"] == pytest.approx(0.4721835883171071, abs=2e-3)
    assert "schedule:" in (output / "config.yaml").read_text()
