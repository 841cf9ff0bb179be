import itertools
from pathlib import Path

import pytest
from benchmarks import command, footprint
from benchmarks.footprint import anonymous_memory

from jaxnext.errors import JaxnextError


@pytest.fixture(autouse=True)
def _stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock of eighths of a second, a process of 3 MiB, and a folder that stays."""
    ticks = itertools.count()
    monkeypatch.setattr(footprint.time, "perf_counter", lambda: next(ticks) / 8)
    monkeypatch.setattr(footprint, "anonymous_memory", lambda: 3 * 2**20)
    monkeypatch.setattr(footprint.tempfile, "TemporaryDirectory", lambda prefix: _Folder(tmp_path))
    monkeypatch.setattr("benchmarks.machine.prepare", lambda: None)
    monkeypatch.setattr("benchmarks.photographs.SIDES", (20, 40))
    monkeypatch.setattr("benchmarks.photographs._CANVAS", 64)


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> str:
        return str(self.path)

    def __exit__(self, *error: object) -> None:
        pass


def measured(words: str) -> dict[str, float]:
    options = command.parse(["footprint", *words.split()])
    result = footprint.run(options, lambda line: None)
    assert (result["part"], result["images"]) == (options.part, options.images)
    assert footprint.table(result).splitlines()[0].startswith(f"{options.part}, {options.images:,} images; ")
    return result["figures"]


def test_listing(tmp_path: Path) -> None:
    result = measured("--part listing --images 1500")
    assert result["first_anonymous_bytes"] == 3 * 2**20
    assert result["index_file_bytes"] > 1500 * len("photograph0000000.jpg")
    assert len(list(tmp_path.glob("train/*/*"))) == 1500


def test_the_first_pass_fills_the_cache_from_links_to_a_few_files(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(footprint, "_DIFFERENT", 8)
    result = measured("--part cache --images 20 --image_size 16 --batch_size 4")
    assert [name for name in result if name.endswith("_anonymous_bytes")] == [
        "filling_anonymous_bytes",
        "from_the_cache_anonymous_bytes",
    ]
    (pixels,) = tmp_path.glob("decoded/*/pixels.bin")
    assert pixels.stat().st_size == 20 * 16 * 16 * 3
    files = list(tmp_path.glob("train/*/*.jpg"))
    assert (len(files), len({file.stat().st_ino for file in files})) == (20, 8)


def test_predict(tmp_path: Path) -> None:
    assert measured("--part predict --images 20")["anonymous_bytes"] == 3 * 2**20
    assert len((tmp_path / "prediction.csv").read_text().splitlines()) == 21


def test_what_the_system_says_of_memory() -> None:
    assert footprint._shown("filling_anonymous_bytes", 3 * 2**20) == "3 MiB"
    assert footprint._shown("seconds", 1.5) == "1.500"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_anonymous_memory_grows_with_what_is_taken() -> None:
    before = anonymous_memory()
    taken = bytearray(b"x" * 2**26)
    assert anonymous_memory() - before > 2**26 - 2**20
    del taken


def test_anonymous_memory_where_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_: "Name: python\n")
    with pytest.raises(JaxnextError, match=r"^/proc/self/status: expected a line RssAnon"):
        anonymous_memory()
