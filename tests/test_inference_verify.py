import shutil

import pytest

from jaxnext.errors import JaxnextError
from jaxnext.inference.verify import verify


def check(folder):
    said, warned = [], []
    status = verify(folder, say=said.append, warn=warned.append)
    return status, said, warned


def test_a_whole_run(run):
    status, said, warned = check(run)
    assert (status, warned) == (0, [])
    assert said
    assert all(line.endswith(": whole") for line in said)
    assert {line.split("/")[-2] for line in said} == {"best", "last", "every"}


def test_what_is_damaged_is_named(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (best,) = (folder / "checkpoints" / "best").iterdir()
    meta = best / "meta" / "metadata"
    meta.write_text(meta.read_text().replace('"epoch": ', '"epoch": 1'))
    (folder / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch"')
    (folder / "config.yaml").write_text("epochs: nine\n")
    status, _, warned = check(folder)
    assert status == 1
    assert [line.split(":")[0] for line in warned] == [
        str(best),
        str(folder / "config.yaml"),
        str(folder / "metrics.jsonl"),
    ]
    assert "it is not what was written: meta: expected SHA-256" in warned[0]


def test_no_run(tmp_path):
    with pytest.raises(JaxnextError, match=r"found no checkpoints/ in it$"):
        check(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    assert check(tmp_path) == (1, [], [f"{tmp_path}: expected checkpoints, found none that is whole"])
