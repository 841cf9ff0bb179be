import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks import command as cli_benchmark
from benchmarks import suite
from benchmarks import suite_command as cli_suite
from benchmarks.suite_parts import Options, Task
from suite_cases import CONFIG, OPTIONS, World

from jaxnext.cli import main as cli_main
from jaxnext.config.yaml_text import dump_config
from jaxnext.errors import JaxnextError
from jaxnext.ops.grouped_formulations import NAMES

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs"
TASK = Task("describe", "describe", OPTIONS)


def benchmark(argv):
    """As the script calls it."""
    return cli_main.main(cli_benchmark.benchmark, argv, CONFIGS)


@pytest.fixture
def calls(monkeypatch):
    """What would be measured."""
    seen = []

    def run(options, names, file, **others):
        seen.append((options, names, file, others["again"], others["seconds"]))
        return "the table", ["remat"] if "remat" in names else []

    monkeypatch.setattr(suite, "run", run)
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "false")
    return seen


def test_options(calls, tmp_path, capsys):
    file = tmp_path / "s.json"
    command = (
        "suite --config baseline --part augment ceilings --image_size 64 --batch_sizes 2 4 --batch_size 3 --rounds 1 "
        "--passes 3 --seconds 50 --sample_seconds 0.25 --candidates jaxnext torch_eager --formulations lanes --again"
    )
    assert benchmark([*command.split(), "--json", str(file)]) == 0
    ((options, names, where, again, seconds),) = calls
    assert (names, where, again, seconds) == (("augment", "ceilings"), file, True, 50)
    assert (options.name, options.config.data.image_size, options.config.model.attention) == ("baseline", 64, "none")
    expected = Options(
        options.config,
        "baseline",
        batch_sizes=(2, 4),
        batch_size=3,
        rounds=1,
        passes=3,
        sample_seconds=0.25,
        convolution_seconds=10.0,
        candidates=("jaxnext", "torch_eager"),
        formulations=("lanes",),
    )
    assert options == expected
    assert capsys.readouterr().out == "the table\n"
    assert not file.exists()


def test_defaults(calls, tmp_path):
    assert benchmark(["suite", "--json", str(tmp_path / "s.json")]) == 0
    options, names, _, again, seconds = calls[0]
    assert (names, again, seconds) == ((), False, 500)
    assert options == Options(options.config, "fc_cbam")
    assert (options.config.data.image_size, options.config.model.head, options.formulations) == (512, "fc", NAMES)


def test_a_part_that_failed_is_status_1_after_the_table(calls, tmp_path, capsys):
    assert benchmark(["suite", "--part", "remat", "--json", str(tmp_path / "s.json")]) == 1
    printed = capsys.readouterr()
    assert printed.out == "the table\n"
    expected = "error: no candidate of the part remat could be measured; the file says why"
    assert printed.err.splitlines()[-1] == expected


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("suite", "--json: expected the file that the parts are merged into, found none"),
        ("suite --json s.json --candidates torch", "--candidates: expected some of jaxnext, torch_eager"),
        ("suite --json s.json --formulations packed", "--formulations: expected some of native, packed32"),
        ("suite --json s.json --config none", "--config: no config is named 'none' in "),
    ],
)
def test_a_mistake_is_one_sentence(command, message, calls, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert benchmark(command.split()) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {message}")
    assert calls == []


def test_table_measures_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "false")
    file = tmp_path / "s.json"
    suite.run(OPTIONS, ("remat",), file, again=False, seconds=100, around=World().around())
    text = file.read_text()
    monkeypatch.setattr(cli_suite, "in_a_process", None)
    assert benchmark(["suite", "--table", "--json", str(file)]) == 0
    assert "remat: 1.00 times the time" in capsys.readouterr().out
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("kind", "name", "alone"),
    [
        ("model", "jaxnext", True),
        ("model", "remat", True),
        ("augmentation", "normalize", True),
        ("model", "torch_compile", False),
        ("model", "timm_compile", False),
        ("convolution", "8x8x8", False),
        ("ceilings", "ceilings", False),
    ],
)
def test_jax_has_the_memory_where_it_is_alone(kind, name, alone, tmp_path):
    caches = {"TORCHINDUCTOR_CACHE_DIR": f"{tmp_path}/inductor", "TRITON_CACHE_DIR": f"{tmp_path}/triton"}
    most = {"XLA_PYTHON_CLIENT_PREALLOCATE": "true", "XLA_CLIENT_MEM_FRACTION": "0.92"}
    task = Task(kind, name, OPTIONS)
    assert cli_suite.environment(task, tmp_path, {}) == caches | (most if alone else {})


@pytest.mark.parametrize("name", ["XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"])
def test_the_user_s_share_of_the_memory_stays(name, tmp_path):
    found = cli_suite.environment(Task("model", "jaxnext", OPTIONS), tmp_path, {name: "0.5"})
    assert "XLA_CLIENT_MEM_FRACTION" not in found


def fake_work(monkeypatch, body):
    """The new process runs this instead; fork, as what a test defines cannot be sent to a fresh one."""
    import multiprocessing

    monkeypatch.setattr(cli_suite, "_work", body)
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: fork)


pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:.*fork:RuntimeWarning")


def test_the_result_of_a_process(monkeypatch, tmp_path):
    fake_work(monkeypatch, lambda send, task, cache: send.send(({"at": cache.name, "of": task.kind}, None)))
    assert cli_suite.in_a_process(tmp_path, TASK, 60, "a part") == {"at": "a part", "of": "describe"}


@pytest.mark.parametrize(
    ("body", "seconds", "reason"),
    [
        (lambda send, task, cache: send.send((None, "no memory")), 60, "no memory"),
        (lambda send, task, cache: os._exit(3), 60, "its process ended with status 3 before it had a result"),
        (
            lambda send, task, cache: time.sleep(60),
            0.2,
            "it was stopped after the 0 s that were left of the part's time",
        ),
    ],
    ids=["a reason", "it ends", "it takes too long"],
)
def test_a_process_without_a_result(body, seconds, reason, monkeypatch, tmp_path):
    fake_work(monkeypatch, body)
    begin = time.monotonic()
    with pytest.raises(JaxnextError) as error:
        cli_suite.in_a_process(tmp_path, TASK, seconds, "a part")
    assert str(error.value) == reason
    assert time.monotonic() - begin < 30


@pytest.mark.slow
def test_two_parts_by_the_script(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "tiny.yaml").write_text(dump_config(CONFIG))
    command = (
        "suite --config tiny.yaml --image_size 32 --batch_sizes 2 --batch_size 2 --rounds 1 --passes 1 "
        "--sample_seconds 0.01 --candidates jaxnext torch_eager --json s.json --part"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def call(part):
        arguments = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), *command.split(), part]
        return subprocess.run(
            arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False
        )

    for part in ("train_bf16_2", "augment"):
        called = call(part)
        assert called.returncode == 0, called.stderr
    parts = json.loads((tmp_path / "s.json").read_text())["parts"]
    assert list(parts) == ["train_bf16_2", "augment"]
    assert list(parts["train_bf16_2"]["results"]) == ["jaxnext", "torch_eager"]
    assert parts["train_bf16_2"]["left_out"] == {}
    assert "times torch_eager's" in called.stdout
    assert "augment_and_normalize, batch 2" in called.stdout
