import dataclasses
import itertools
from pathlib import Path

import pytest
import small_run
from benchmarks.footprint import Options, Part, Process, run, table


def measured(part: Part, images: int, folder: Path) -> dict:
    base = small_run.config(folder, batch_size=4)
    config = dataclasses.replace(base, data=dataclasses.replace(base.data, path=None))
    ticks = itertools.count()
    process = Process(lambda: next(ticks) / 8, 2, lambda: 3 * 2**20)
    result = run(Options(part, images, config), folder, process, lambda line: None)
    assert (result["command"], result["part"], result["images"]) == ("footprint", part, images)
    return result


def test_listing(tmp_path: Path) -> None:
    result = measured("listing", 1500, tmp_path)
    assert (result["first_seconds"], result["again_seconds"]) == (0.125, 0.125)
    assert result["first_anonymous_bytes"] == 3 * 2**20
    assert result["index_file_bytes"] > 1500 * len("photograph0000000.jpg")
    assert len(list(tmp_path.glob("train/*/*"))) == 1500


def test_the_first_pass_fills_the_cache(tmp_path: Path) -> None:
    result = measured("cache", 9, tmp_path)
    assert [name for name in result if name.endswith("_anonymous_bytes")] == [
        "filling_anonymous_bytes",
        "from_the_cache_anonymous_bytes",
    ]
    (pixels,) = tmp_path.glob("decoded/*/pixels.bin")
    assert pixels.stat().st_size == 9 * 16 * 16 * 3


def test_predict(tmp_path: Path) -> None:
    assert measured("predict", 20, tmp_path)["anonymous_bytes"] == 3 * 2**20
    assert len((tmp_path / "prediction.csv").read_text().splitlines()) == 21


def test_wait(tmp_path: Path) -> None:
    result = measured("wait", 9, tmp_path)
    assert 0 < result["data_wait_fraction"] <= 1


def test_table_literally() -> None:
    result = {"part": "cache", "images": 21000, "filling_anonymous_bytes": 3 * 2**20, "seconds": 1.5}
    assert table(result) == "part: cache\nimages: 21,000\nfilling anonymous bytes: 3 MiB\nseconds: 1.500"


def test_many_files_are_links_to_a_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.footprint._DIFFERENT", 8)
    measured("cache", 50, tmp_path)
    files = list(tmp_path.glob("train/*/*.jpg"))
    assert (len(files), len({file.stat().st_ino for file in files})) == (50, 8)
