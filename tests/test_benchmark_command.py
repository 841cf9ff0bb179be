"""``scripts/benchmark.py`` as its user has it, with stand-ins for what would be measured."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks import command, footprint, grouped_conv
from benchmarks.report import failure, text_table, write_json

from jaxnext.errors import JaxnextError

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "benchmark.py"


@pytest.fixture
def calls(monkeypatch) -> list[Any]:
    """What would be measured."""
    seen: list[Any] = []

    def run(options, say):
        seen.append(options)
        return {"measured": 1}

    for part in command.PARTS.values():
        monkeypatch.setattr(part, "run", run)
        monkeypatch.setattr(part, "table", lambda result: f"table of {result['measured']}")
    return seen


def test_options_reach_the_part_and_its_result_the_file(calls, tmp_path, capsys):
    file = tmp_path / "m.json"
    words = "model --config fc_cbam --image_size 64 --batch_size 3 --precision bfloat16 --rounds 2 --candidates jaxnext"
    assert command.main([*words.split(), "--json", str(file)]) == 0
    (options,) = calls
    assert (options.config, options.image_size, options.batch_size, options.precision) == ("fc_cbam", 64, 3, "bfloat16")
    assert (options.rounds, options.candidates, options.remat) == (2, ["jaxnext"], False)
    assert capsys.readouterr().out == "table of 1\n"
    written = json.loads(file.read_text())
    assert list(written) == ["command", "date", "load_average_before", "measured"]
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]


def test_what_is_set_for_jax_does_not_last(calls, monkeypatch):
    monkeypatch.delenv("JAX_ENABLE_COMPILATION_CACHE", raising=False)
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    before = dict(os.environ)
    monkeypatch.setattr(command.PARTS["model"], "run", lambda options, say: dict(os.environ))
    monkeypatch.setattr(command.PARTS["model"], "table", lambda result: result["JAX_ENABLE_COMPILATION_CACHE"])
    assert command.main(["model"]) == 0
    assert dict(os.environ) == before


def test_shapes_and_files_of_footprint(calls):
    assert command.main(["grouped_conv", "--shapes", "8x9x16", "4x4x32", "--all", "--stride", "2"]) == 0
    assert command.main(["footprint", "--part", "cache"]) == 0
    assert (calls[0].shapes, calls[0].all, calls[0].stride) == ([(8, 9, 16), (4, 4, 32)], True, 2)
    assert (calls[1].command, calls[1].part, calls[1].images) == ("footprint", "cache", None)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "footprint",
        "train",
        "model --batch 4",
        "model --batch_size 0",
        "grouped_conv --shapes 4x4",
        "suite --rounds 1",
    ],
)
def test_an_option_that_argparse_refuses(words, calls, capsys):
    with pytest.raises(SystemExit) as error:
        command.main(words.split())
    assert (error.value.code, calls) == (2, [])
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("model --config fc_cban", "--config: no config is named 'fc_cban' in "),
        (
            "model --json none/m.json",
            "--json none/m.json: expected a file in a folder that exists",
        ),
        ("model --json=", "--json : expected the name of a file, found none"),
        ("model --json .", "--json .: expected the name of a file, found a folder"),
        ("grouped_conv --groups 48", "--groups: expected a divisor of the channels of 56x56x128, found 48"),
        ("suite modell", "suite: expected a part of model, grouped_conv, data, footprint, found 'modell'"),
    ],
)
def test_a_mistake_is_one_sentence(words, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert command.main(words.split()) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith(f"error: {message}")
    assert captured.out == ""


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [(KeyboardInterrupt(), 130, ""), (JaxnextError("too little room"), 1, "error: too little room\n")],
    ids=["Ctrl-C", "error"],
)
def test_what_ends_it(error, status, message, calls, monkeypatch, capsys):
    def run(options, say):
        raise error

    monkeypatch.setattr(grouped_conv, "run", run)
    monkeypatch.setattr(command, "_BUSY", 1e9)
    assert command.main(["grouped_conv"]) == status
    assert capsys.readouterr().err == message


def script(start: str, *words: str) -> subprocess.CompletedProcess[str]:
    text = f"import runpy, sys\n{start}\nsys.argv = {['benchmark.py', *words]}\n"
    text += f"sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
    text += f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)


def test_help_waits_for_no_framework():
    heavy = "{'jax', 'torch', 'numpy', 'PIL'}"
    helped = script(
        f"import atexit\natexit.register(lambda: print(sorted({heavy} & set(sys.modules))))", "data", "--help"
    )
    assert helped.returncode == 0, helped.stderr
    assert "--images" in helped.stdout
    assert helped.stdout.splitlines()[-1] == "[]"


def test_without_torch_there_is_one_sentence():
    found = script("sys.modules['torch'] = None", "grouped_conv")
    assert found.returncode == 1
    last = "error: torch is not installed for this Python, and this measurement needs it"
    assert found.stderr.splitlines()[-1] == last
    assert "Traceback" not in found.stderr


def test_json_is_whole_or_not_there(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "other.json", {"a": 1, "b": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_table():
    assert text_table([["name", "s"], ["a", "10", "x"], ["longer"]]) == "name     s\na       10  x\nlonger"


def test_a_lack_of_memory_is_said_plainly():
    assert failure(RuntimeError("RESOURCE_EXHAUSTED: 3 GB\nmore")) == "out of memory: RESOURCE_EXHAUSTED: 3 GB"
    assert failure(ValueError("not for these\nshapes")) == "ValueError: not for these"


def test_every_part_has_what_the_command_and_the_suite_call():
    for name, part in command.PARTS.items():
        assert callable(part.add_arguments)
        assert callable(part.table)
        assert name == "suite" or callable(part.summary)
    assert set(footprint.IMAGES) == {"listing", "cache", "predict", "wait"}
