import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxnext.engine.checkpoint_folder import DIGESTS, CheckpointFolder, changes
from jaxnext.errors import JaxnextError


def arrays_of(number: int) -> dict[str, Any]:
    return {"model": {"kernel": np.full(3, number, np.float32)}}


def save(folder: CheckpointFolder, *numbers: int, keep: int | None = 1) -> None:
    for number in numbers:
        folder.save(number, arrays_of(number), {"meta": {"epoch": number}}, keep)


def spoil(place: Path) -> None:
    (place / "meta" / "metadata").write_text(json.dumps({"epoch": -1}))


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "best", tmp_path / "damaged")


def spoil_the_next(folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk return something else than what is written next."""
    write = CheckpointFolder._write

    def spoiled(self: CheckpointFolder, number: int, *given: Any) -> None:
        write(self, number, *given)
        spoil(self.place / str(number))

    monkeypatch.setattr(CheckpointFolder, "_write", spoiled)


def test_what_is_not_read_back_as_it_was_written_is_put_beside_and_the_one_before_stays(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder, 2)
    spoil_the_next(folder, monkeypatch)
    new, kept = re.escape(str(folder.place / "5")), re.escape(str(folder.damaged / "best-5"))
    pattern = (
        rf"^{new}: the checkpoint cannot be read \(it is not what was written: meta: expected SHA-256 \w+, found "
        rf"\w+\), just after it was written; it is kept as {kept}, and the one before stays: is the disk in order\?$"
    )
    with pytest.raises(JaxnextError, match=pattern):
        save(folder, 5)
    assert folder.numbers() == [2]
    with pytest.raises(JaxnextError, match=r"damaged/best-5-2, and"):
        save(folder, 5)
    monkeypatch.undo()
    save(folder, 5)
    assert folder.numbers() == [5]
    assert sorted(path.name for path in folder.damaged.iterdir()) == ["best-5", "best-5-2"]


def test_nothing_is_deleted_before_the_new_one_was_read(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder, 2)
    read, seen = CheckpointFolder.read, []

    def noted(self: CheckpointFolder, number: int, *names: Any) -> Any:
        seen.append((number, self.numbers()))
        return read(self, number, *names)

    monkeypatch.setattr(CheckpointFolder, "read", noted)
    save(folder, 5)
    assert seen == [(5, [2, 5])]
    assert folder.numbers() == [5]


def test_one_that_was_not_read_back_before_a_kill_is_read_when_it_is_saved_again(folder: CheckpointFolder) -> None:
    save(folder, 2, 5, keep=None)
    spoil(folder.place / "5")
    save(folder, 5)
    assert folder.numbers() == [5]
    assert folder.read(5, ["model"], ["meta"])[0]["meta"] == {"epoch": 5}
    assert (folder.damaged / "best-5").is_dir()


def test_one_that_was_being_deleted_is_no_checkpoint_and_goes(folder: CheckpointFolder) -> None:
    save(folder, 2, 5, keep=2)
    folder.close()
    shutil.rmtree(folder.place / "2" / "model")
    (folder.place / "2").rename(folder.place / "2.orbax-checkpoint-tmp-deleted")
    assert folder.numbers() == [5]
    save(folder, 6)
    assert sorted(path.name for path in folder.place.iterdir()) == ["6"]


def test_leftovers_of_a_killed_process_are_removed_and_checkpoints_are_not(folder: CheckpointFolder) -> None:
    save(folder, 2)
    (folder.place / "1.orbax-checkpoint-tmp-deleted").mkdir()
    (folder.place / "3.orbax-checkpoint-tmp-7" / "model").mkdir(parents=True)
    folder.remove_leftovers()
    assert sorted(path.name for path in folder.place.iterdir()) == ["2"]


def test_the_first_difference_is_named(folder: CheckpointFolder) -> None:
    save(folder, 2)
    items, written = folder.read(2, ["model"], ["meta"])
    assert folder.has(2, DIGESTS)
    assert changes(items, ["model"], ["meta"], written) is None
    items["model"]["kernel"][1] = 0
    assert str(changes(items, ["model"], ["meta"], written)).startswith("it is not what was written: model kernel: ")
    assert changes(items, ["model"], ["meta"], None) is None
