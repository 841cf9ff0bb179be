import dataclasses
import shutil

import pytest
import small_run

from jaxnext.engine.checkpoint import Checkpoints
from jaxnext.errors import JaxnextError
from jaxnext.file_digests import sha256, write_beside, write_sums
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


def test_a_ported_checkpoint_has_digests(run, tmp_path):
    variables, meta = small_run.model_of(run, "best")
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_model("best", 0, variables, dataclasses.replace(meta, epoch=0))
    assert check(tmp_path) == (0, [f"{tmp_path / 'checkpoints' / 'best' / '0'}: whole"], [])


def test_a_packed_data_set_is_found_below_the_folder(tmp_path):
    place = tmp_path / "pets" / "1.0.0"
    place.mkdir(parents=True)
    (place / "shard").write_bytes(b"abc")
    write_sums(place)
    for folder in (tmp_path, place.parent, place):
        assert check(folder) == (0, [f"{place / 'shard'}: whole"], [])
    (place / "shard").write_bytes(b"abd")
    status, said, (warned,) = check(tmp_path)
    assert (status, said) == (1, [])
    assert warned.startswith(f"{place / 'shard'}: expected the SHA-256 ba7816bf")
    # Of an earlier version.
    (place / "SHA256SUMS").rename(place / "other")
    (place / "metadata.json").write_text(f'{{"sha256": {{"shard": "{sha256(place / "other")}"}}}}')
    assert check(tmp_path)[0] == 1
    (place / "other").rename(place / "shard")
    assert check(tmp_path) == (0, [f"{place / 'shard'}: whole"], [])
    (place / "metadata.json").write_text("{}")
    assert check(tmp_path) == (
        1,
        [],
        [f"{place / 'metadata.json'}: expected the SHA-256 of each shard, found none ('sha256')"],
    )


def test_an_exported_file_and_a_cache(tmp_path):
    file = tmp_path / "net.pth"
    file.write_bytes(b"abc")
    assert check(file) == (1, [], [f"{file}: expected its SHA-256 in it or in net.pth.sha256 beside it, found none"])
    write_beside(file)
    assert check(file) == (0, [f"{file}: whole"], [])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "cache.json").write_text("{")
    problem = f"{tmp_path / 'c' / 'cache.json'}: expected the description of a decoded cache, found another"
    assert check(tmp_path) == check(tmp_path / "c") == (1, [], [problem])


def test_nothing_that_was_written(tmp_path):
    with pytest.raises(JaxnextError) as error:
        check(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: expected an exported file, or the folder of a run, a ported checkpoint, a packed data set, a "
        "decoded cache or an export, found no checkpoints/, cache.json or SHA256SUMS in it"
    )
    with pytest.raises(JaxnextError, match=r"or an export, found nothing$"):
        check(tmp_path / "no")
    (tmp_path / "checkpoints").mkdir()
    assert check(tmp_path) == (1, [], [f"{tmp_path}: expected checkpoints, found none that is whole"])
