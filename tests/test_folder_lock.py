import subprocess
import sys

import pytest

from jaxnext.errors import JaxnextError
from jaxnext.folder_lock import LOCK, locked

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "ab")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / LOCK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(JaxnextError) as error, locked(tmp_path, "sorting into"):
            pass
        assert str(error.value) == (
            f"{tmp_path}: another process is sorting into this folder; wait until it has ended, or give another"
        )
        process.kill()
    with locked(tmp_path, "sorting into"):
        assert (tmp_path / LOCK).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_made_for_nothing_goes(tmp_path):
    with locked(tmp_path / "a" / "b", "training into"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
    assert list((tmp_path / "a").iterdir()) == []
    with locked(tmp_path / "a" / "b", "training into"):
        (tmp_path / "a" / "b" / "result").write_text("")
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["result"]


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    import fcntl

    flock, calls = fcntl.flock, []

    def remove_first(file, how):
        if not calls:
            (tmp_path / LOCK).unlink()
        calls.append(how)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with locked(tmp_path, "training into"):
        assert (tmp_path / LOCK).exists()
    assert len(calls) == 2


def test_a_folder_that_is_removed_or_replaced_is_noticed(tmp_path):
    run = tmp_path / "run"
    sentence = (
        f"{run}: the folder, or the .lock in it, has been removed or replaced while this process was training into it; "
        "what it held is lost, unless it has been moved elsewhere"
    )
    with locked(run, "training into") as check:
        check()
        run.rename(tmp_path / "moved")
        with pytest.raises(JaxnextError) as error:
            check()
        assert str(error.value) == sentence
        run.mkdir()
        (run / LOCK).touch()
        with pytest.raises(JaxnextError, match="removed or replaced"):
            check()
    # The new one is another process's.
    assert (run / LOCK).exists()


def test_an_error_of_the_block_is_not_the_locks(tmp_path):
    with pytest.raises(BlockingIOError, match="mine"), locked(tmp_path, "sorting into"):
        raise BlockingIOError("mine")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(JaxnextError, match="expected a folder that can be written, found: Not a directory"),
        locked(tmp_path / "file" / "run", "training into"),
    ):
        pass
