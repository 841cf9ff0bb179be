from pathlib import Path

import pytest

from jaxnext.cli.user_folders import cache_folder, cache_folder_if_known, folders, tfds_folder


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    for name in ("XDG_CACHE_HOME", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_in_the_home_folder() -> None:
    assert cache_folder() == cache_folder_if_known() == Path("/home/somebody/.cache/jaxnext")
    kept = folders()
    assert (kept.index, kept.decoded) == (cache_folder() / "index", cache_folder() / "decoded")
    assert kept.tfds == "/home/somebody/tensorflow_datasets"


def test_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/large")
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://bucket/sets")
    assert folders().index == Path("/large/jaxnext/index")
    assert tfds_folder() == "gs://bucket/sets"


def test_without_home_and_passwd_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(unknown))
    assert cache_folder_if_known() is None
    kept = folders()
    assert (kept.index, kept.decoded, kept.tfds) == (None, None, None)
    with pytest.raises(RuntimeError, match=r"set XDG_CACHE_HOME to a folder for what is kept$"):
        cache_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", "/large")
    assert cache_folder() == Path("/large/jaxnext")
