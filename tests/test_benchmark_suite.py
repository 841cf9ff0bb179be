import copy
import dataclasses
import json

import pytest
from benchmarks import suite
from benchmarks.suite_parts import Part, parts_of, select
from suite_cases import HERE, OPTIONS, World

from jaxnext.errors import JaxnextError, UsageError

TRAIN = ("train_bf16_2",)


def part_named(name: str) -> Part:
    return select(parts_of(OPTIONS), (name,))[0]


def run(world, file, names=TRAIN, options=OPTIONS, again=False, seconds=100):
    return suite.run(options, names, file, again=again, seconds=seconds, around=world.around())


def test_candidates_are_measured_in_turn_and_their_passes_joined(tmp_path):
    world, file = World(), tmp_path / "s.json"
    world.answers["jaxnext"] = [
        {"samples": [4.0, 2.0], "compile_seconds": 30.0, "peak_memory_bytes": 7, "compiled_memory_bytes": 5},
        {"samples": [1.0], "compile_seconds": 2.0, "peak_memory_bytes": 9, "compiled_memory_bytes": 5},
    ]
    _, failed = run(world, file)
    assert failed == []
    assert world.asked == ["train_bf16_2 jaxnext", "train_bf16_2 torch_compile"] * 2
    written = json.loads(file.read_text())
    assert list(written) == ["command", "parts", "machine", "versions"]
    assert (written["machine"], written["versions"]) == (HERE["machine"], HERE["versions"])
    record = written["parts"]["train_bf16_2"]
    assert (record["date"], record["load_average_before"], record["seconds"]) == ("2026-11-23T05:00:00+00:00", 0.25, 4)
    assert (record["system"], record["left_out"]) == ("Linux", {})
    assert record["options"] == part_named("train_bf16_2").options
    assert record["results"]["jaxnext"] == {
        "median_seconds": 2.0,
        "least_seconds": 1.0,
        "images_per_second": 1.0,
        "samples": [4.0, 2.0, 1.0],
        "compile_seconds": 30.0,
        "later_compile_seconds": [2.0],
        "peak_memory_bytes": 9,
        "compiled_memory_bytes": 5,
    }


def test_a_part_that_is_there_is_not_measured_again(tmp_path):
    world, file = World(), tmp_path / "s.json"
    run(world, file)
    text = file.read_text()
    world.asked.clear()
    run(world, file)
    assert (world.asked, file.read_text()) == ([], text)
    run(world, file, again=True)
    assert len(world.asked) == 4


def test_parts_are_merged_in_the_order_of_the_suite(tmp_path):
    world, file = World(), tmp_path / "s.json"
    for names in (("remat",), ("inference_bf16_4", "train_bf16_4"), TRAIN):
        run(world, file, names)
    other = dataclasses.replace(OPTIONS, batch_sizes=(8,))
    run(world, file, ("train_bf16_8",), other)
    parts = list(json.loads(file.read_text())["parts"])
    assert parts == ["train_bf16_8", "remat", "train_bf16_2", "train_bf16_4", "inference_bf16_4"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.json"]


def test_what_another_call_has_added_meanwhile_stays(tmp_path):
    world, file = World(), tmp_path / "s.json"
    other = World()
    run(other, file, ("remat",))
    late = file.read_text()
    file.unlink()
    worker = world.worker

    def write_late(task, seconds, part):
        if part in TRAIN:
            file.write_text(late)
        return worker(task, seconds, part)

    world.worker = write_late
    run(world, file)
    assert list(json.loads(file.read_text())["parts"]) == ["train_bf16_2", "remat"]


def test_a_candidate_that_fails_is_recorded_and_the_others_go_on(tmp_path):
    world, file = World(), tmp_path / "s.json"
    world.answers["torch_compile"] = ["out of memory: 3 bytes are missing"]
    table, failed = run(world, file)
    assert failed == []
    record = json.loads(file.read_text())["parts"]["train_bf16_2"]
    assert record["left_out"] == {"torch_compile": "out of memory: 3 bytes are missing"}
    assert list(record["results"]) == ["jaxnext"]
    assert "  torch_compile is left out: out of memory: 3 bytes are missing" in world.said
    assert table.endswith("train_bf16_2, torch_compile: left out, out of memory: 3 bytes are missing")
    # The second pass leaves it alone, and a later call has a result.
    assert world.asked.count("train_bf16_2 torch_compile") == 1
    run(world, file)
    assert world.asked.count("train_bf16_2 jaxnext") == 2


def test_a_failure_in_a_later_pass_keeps_the_first(tmp_path):
    world, file = World(), tmp_path / "s.json"
    record = {"samples": [2.0], "compile_seconds": 3.0, "peak_memory_bytes": None}
    world.answers["jaxnext"] = [record, "lost"]
    run(world, file)
    found = json.loads(file.read_text())["parts"]["train_bf16_2"]
    assert found["left_out"] == {"jaxnext, pass 2": "lost"}
    assert found["results"]["jaxnext"]["samples"] == [2.0]


def test_a_part_that_fails_is_recorded_the_others_go_on_and_it_is_tried_again(tmp_path):
    world, file = World(), tmp_path / "s.json"
    world.answers = {"jaxnext": ["no memory"], "torch_compile": ["no compiler"]}
    _, failed = run(world, file, ("train_bf16_2", "remat"))
    assert failed == ["train_bf16_2"]
    parts = json.loads(file.read_text())["parts"]
    assert parts["train_bf16_2"]["failed"] == "no memory"
    assert parts["train_bf16_2"]["results"] == {}
    assert list(parts["remat"]["results"]) == ["stored", "remat"]
    world.answers.clear()
    assert run(world, file, ("train_bf16_2", "remat"))[1] == []
    assert "failed" not in json.loads(file.read_text())["parts"]["train_bf16_2"]
    assert world.asked.count("remat stored") == 2


def test_the_time_of_a_part_is_kept(tmp_path):
    world, file = World(), tmp_path / "s.json"
    world.answers = {"jaxnext": [20.0, 5.0], "torch_compile": [40.0, 5.0]}
    run(world, file)
    assert json.loads(file.read_text())["parts"]["train_bf16_2"]["left_out"] == {
        "torch_compile, pass 2": "the part's 100 s were over"
    }
    world.answers = {"jaxnext": [100.0]}
    run(world, file, again=True)
    record = json.loads(file.read_text())["parts"]["train_bf16_2"]
    assert record["left_out"] == {
        "torch_compile": "the part's 100 s were over",
        "jaxnext, pass 2": "the part's 100 s were over",
    }
    world.answers = {"jaxnext": [101.0]}
    assert run(world, file, again=True)[1] == ["train_bf16_2"]


@pytest.mark.parametrize(
    ("kind", "key", "value", "message"),
    [
        ("machine", "gpu", "another GPU", "gpu a GPU, found gpu another GPU here"),
        ("versions", "jax", "0.11.0", "jax 0.10.2, found jax 0.11.0 here"),
        ("versions", "timm", "1.0", "timm None, found timm 1.0 here"),
        ("versions", "new", "1.0", "new None, found new 1.0 here"),
    ],
)
def test_another_machine_s_or_version_s_file_is_refused(kind, key, value, message, tmp_path):
    world, file = World(), tmp_path / "s.json"
    run(world, file)
    text = file.read_text()
    world.here = copy.deepcopy(HERE)
    world.here[kind][key] = value
    world.asked.clear()
    with pytest.raises(JaxnextError) as error:
        run(world, file, ("remat",), again=True)
    assert str(error.value) == f"--json {file}: its parts were measured with {message}; name another file"
    assert (world.asked, file.read_text()) == ([], text)


def test_another_kernel_is_the_same_machine(tmp_path):
    world, file = World(), tmp_path / "s.json"
    run(world, file)
    world.here = HERE | {"system": "Linux, newer"}
    run(world, file, ("remat",))
    assert json.loads(file.read_text())["parts"]["remat"]["system"] == "Linux, newer"


def test_other_options_are_refused(tmp_path):
    world, file = World(), tmp_path / "s.json"
    run(world, file)
    world.asked.clear()
    with pytest.raises(UsageError) as error:
        run(world, file, options=dataclasses.replace(OPTIONS, rounds=3))
    assert str(error.value) == (
        f"--json {file}: it has the part train_bf16_2 with rounds 1, found rounds 3; give --again to measure it again, "
        "or name another file"
    )
    with pytest.raises(UsageError, match=r"train_bf16_2 with config tiny, found config other; name another file$"):
        run(world, file, ("remat",), options=dataclasses.replace(OPTIONS, name="other"), again=True)
    assert world.asked == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "expected a file that"),
        ('{"command": "model", "parts": {}}', "expected a file"),
    ],
)
def test_another_file_is_refused_and_stays(text, message, tmp_path):
    file = tmp_path / "s.json"
    file.write_text(text)
    with pytest.raises(JaxnextError, match=message):
        run(World(), file)
    assert file.read_text() == text


def test_failures():
    assert suite.failures(["a"]) == "no candidate of the part a could be measured; the file says why"
    assert suite.failures(["a", "b"]) == "no candidate of the parts a, b could be measured; the file says why"
