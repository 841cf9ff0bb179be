import dataclasses
import json
from pathlib import Path

import pytest
import small_run
from packed_images import pack_folder
from small_run import run_env, train
from square import square

from jaxnext.config.sections import SOURCES, DataConfig
from jaxnext.data.splits import load_splits
from jaxnext.engine import run_folder
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.folder_lock import locked
from jaxnext.training.fit import class_names, fit, open_decoded_cache

# Mistakes that are found before anything is compiled or written

USED = "{}: the folder holds a run; go on with it with --resume auto, or give another --output"


def test_a_folder_that_holds_a_run_is_refused(run, images):
    with pytest.raises(UsageError) as error:
        train(run, images)
    assert str(error.value) == USED.format(run)


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_another_process_trains_into_is_refused(images, tmp_path, resume):
    with locked(tmp_path / "r", "training into"):
        with pytest.raises(JaxnextError) as error:
            train(tmp_path / "r", images, resume=resume)
        assert [file.name for file in (tmp_path / "r").iterdir()] == [".lock"]
    assert str(error.value) == (
        f"{tmp_path / 'r'}: another process is training into this folder; wait until it has ended, or give another"
    )


def test_a_run_that_was_finished_meanwhile_is_not_begun_anew(run, images, monkeypatch):
    check, calls = run_folder.check, []

    def before_it_was_there(output, config, resume):
        calls.append(output)
        if len(calls) > 1:
            check(output, config, resume)

    monkeypatch.setattr(run_folder, "check", before_it_was_there)
    with pytest.raises(UsageError, match="the folder holds a run"):
        train(run, images)


def test_resume_refuses_what_alters_the_result(run, images):
    with pytest.raises(UsageError) as error:
        train(run, images, resume=True, checkpoint=small_run.EVERY_THIRD, batch_size=8)
    assert str(error.value) == (
        f"{run}: a resumed run may change epochs and nothing that alters the result, found batch_size was 10 and is 8"
    )


def test_resume_refuses_changed_data(images, tmp_path):
    data = small_run.write_images(tmp_path / "data", {"train": 2, "val": 1})
    train(tmp_path / "r", data, epochs=1)
    (data / "train" / "3" / "1.jpg").unlink()
    with pytest.raises(JaxnextError, match=r"the data has changed since this run began: expected .*24.*, found .*23"):
        train(tmp_path / "r", data, resume=True, epochs=2)


def test_more_classes_than_outputs(images, tmp_path):
    model = dataclasses.replace(small_run.config(images).model, classes=5)
    with pytest.raises(JaxnextError) as error:
        train(tmp_path / "r", images, model=model)
    assert str(error.value) == (
        "model.classes: expected at least the 12 classes of the data, found 5; leave it out, or set --model.classes 12"
    )
    assert not (tmp_path / "r").exists()


def test_batch_larger_than_the_data(images, tmp_path):
    with pytest.raises(JaxnextError) as error:
        train(tmp_path / "r", images, batch_size=97)
    assert str(error.value) == (
        "batch_size: expected at most the 96 training images, found 97; set --batch_size 96 or less"
    )


def test_too_many_parameters(images, tmp_path):
    model = dataclasses.replace(small_run.config(images).model, max_parameters=1000)
    lines = []
    with pytest.raises(JaxnextError, match=r"^model.max_parameters: expected at most 1,000 parameters, found 16,470; "):
        train(tmp_path / "r", images, model=model, env=run_env(lines=lines))
    assert any("total" in line for line in lines)


def test_missing_weights_give_the_command(images, tmp_path):
    model = dataclasses.replace(small_run.config(images).model, weights=str(tmp_path / "none"))
    with pytest.raises(JaxnextError) as error:
        train(tmp_path / "r", images, model=model)
    # Of this small network there are none to be had by name.
    assert f"jaxnext port SOURCE --config CONFIG --output {tmp_path / 'none'}" in str(error.value)
    assert not (tmp_path / "r").exists()


def test_outputs_beyond_the_data_are_named_unused(images):
    model = dataclasses.replace(small_run.config(images).model, classes=14)
    splits = load_splits(small_run.config(images).data, 0)
    assert class_names(small_run.config(images, model=model), splits)[-3:] == ("9", "unused_12", "unused_13")


@pytest.mark.slow
def test_a_packed_folder_trains_as_the_folder_does(images, tmp_path):
    place = pack_folder(images, tmp_path, pixels=square(16)).folder
    data = DataConfig(source=SOURCES.choose("tfds"), path=str(place), image_size=16)
    packed = dataclasses.replace(small_run.config(images, epochs=1, workers=1), data=data)
    train(tmp_path / "folder", images, epochs=1, workers=0)
    fit(packed, tmp_path / "tfds", False, run_env())
    one, two = (json.loads((tmp_path / name / "metrics.jsonl").read_text()) for name in ("folder", "tfds"))
    for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        assert one[key] == two[key]
    fit(dataclasses.replace(packed, epochs=2), tmp_path / "tfds", True, run_env())
    assert len((tmp_path / "tfds" / "metrics.jsonl").read_text().splitlines()) == 2
    (shard,) = place.glob("*-train.array_record-00000-of-00001")
    shard.write_bytes(shard.read_bytes().replace(b"\x89PNG", b"\x89PNX", 1))
    verified = dataclasses.replace(packed, data=dataclasses.replace(data, verify=True))
    with pytest.raises(JaxnextError, match=r"-train\.array_record-00000-of-00001: the shard cannot be read"):
        fit(verified, tmp_path / "verified", False, run_env())


def test_a_cache_on_disk_is_in_the_users_cache_folder_unless_the_config_names_one(images, tmp_path):
    splits = load_splits(small_run.config(images).data, 0)
    folders = []
    for path, decoded in ((None, tmp_path / "user"), (str(tmp_path / "own"), tmp_path / "user"), (None, None)):
        data = dataclasses.replace(small_run.config(images).data, cache="disk", cache_path=path)
        config, env = small_run.config(images, data=data), run_env(decoded=decoded)
        if decoded is None:
            with pytest.raises(UsageError, match=r"^data\.cache_path: expected a folder for data\.cache disk"):
                open_decoded_cache(config, splits, env)
        else:
            folders += [line.split()[2] for line in open_decoded_cache(config, splits, env)[1]]
    assert [Path(folder.rstrip(":")).parent.name for folder in folders] == ["user", "user", "own", "own"]
    config, env = small_run.config(images, data=data), run_env(host={"name": "other"})
    config = dataclasses.replace(config, data=dataclasses.replace(data, cache_path=str(tmp_path / "user")))
    others = [line.split()[2] for line in open_decoded_cache(config, splits, env)[1]]
    assert not set(others) & set(folders)


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_a_cache_path_that_is_not_read_is_refused(images, cache):
    data = dataclasses.replace(small_run.config(images).data, cache=cache, cache_path="/c")
    config = small_run.config(images, data=data)
    with pytest.raises(UsageError) as error:
        open_decoded_cache(config, load_splits(data, 0), run_env())
    assert str(error.value) == (
        f"data.cache_path: expected no value, since data.cache {cache} does not read it, found '/c'; leave it out, or "
        "set --data.cache disk"
    )
