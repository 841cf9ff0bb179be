import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmark_cases import CONFIG
from benchmarks import command as cli_benchmark
from benchmarks import convolutions, data, footprint, model

from jaxnext.cli import main as cli_main
from jaxnext.config.yaml_text import dump_config

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs"


def benchmark(argv: list[str]) -> int:
    """As the script calls it."""
    return cli_main.main(cli_benchmark.benchmark, argv, CONFIGS)


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """Put back afterwards what the command sets for its process."""
    for name in ("JAX_ENABLE_COMPILATION_CACHE", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.setenv(name, "false")


@pytest.fixture
def calls(monkeypatch) -> list[Any]:
    """What would be measured."""
    seen: list[Any] = []

    def run(options, **around):
        seen.append(options)
        return {"measured": 1}

    for module in (model, convolutions):
        monkeypatch.setattr(module, "run", run)
        monkeypatch.setattr(module, "table", lambda result: f"table of {result}")
    monkeypatch.setattr("jax.config.update", lambda name, value: None)
    return seen


def test_model_options(calls, tmp_path, capsys):
    file = tmp_path / "m.json"
    command = "model --config fc_cbam --image_size 64 --batch_size 3 --precision bfloat16 --rounds 2 --no_torch_compile"
    assert benchmark([*command.split(), "--json", str(file)]) == 0
    (options,) = calls
    config = options.config
    assert (options.name, options.rounds, options.torch_compile) == ("fc_cbam", 2, False)
    assert (config.data.image_size, config.batch_size, config.precision) == (64, 3, "bfloat16")
    assert (config.model.attention, config.model.head) == ("cbam", "fc")
    assert capsys.readouterr().out == "table of {'measured': 1}\n"
    written = json.loads(file.read_text())
    assert list(written) == ["date", "load_average_before", "measured"]


def test_model_defaults(calls):
    assert benchmark(["model"]) == 0
    config = calls[0].config
    assert (calls[0].name, config.data.image_size, config.batch_size, config.precision) == (
        "baseline",
        224,
        8,
        "float32",
    )
    assert calls[0].torch_compile


def test_grouped_conv_options(calls):
    command = "grouped_conv --batch_size 2 --groups 8 --stride 2 --all --rounds 3 --shapes 8x9x16 4x4x32"
    assert benchmark(command.split()) == 0
    assert benchmark(["grouped_conv"]) == 0
    assert calls[0] == convolutions.Options(2, "float32", 8, 2, 3, True, ((8, 9, 16), (4, 4, 32)))
    assert calls[1] == convolutions.Options(4, "float32", 32, 1, 5, False, convolutions.SHAPES)


def test_data_options(calls, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    folders = []

    def run(options, folder, **around):
        calls.append(options)
        folders.append((folder, folder.is_dir(), around["cores"] >= 1))
        return {"measured": 1}

    monkeypatch.setattr(data, "run", run)
    monkeypatch.setattr(data, "table", str)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command = "data --images 9 --image_size 64 --batch_size 3 --rounds 2"
    assert benchmark(command.split()) == 0
    assert benchmark(["data"]) == 0
    assert calls == [data.Options(9, 64, 3, 2), data.Options(512, 512, 16, 5)]
    assert [found for _, *found in folders] == [[True, True]] * 2
    assert folders[0][0].parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_footprint_options(calls, monkeypatch):
    def run(options, folder, process, say):
        calls.append((options, process.cores >= 1, process.memory() > 10 * 2**20))
        return {"measured": 1}

    monkeypatch.setattr(footprint, "run", run)
    command = "footprint --part cache --images 9 --image_size 64 --batch_size 3"
    assert benchmark(command.split()) == 0
    assert benchmark(["footprint", "--part", "listing"]) == 0
    assert [(options.part, options.images) for options, *_ in calls] == [("cache", 9), ("listing", 300_000)]
    assert [(o.config.data.image_size, o.config.batch_size) for o, *_ in calls] == [(64, 3), (512, 16)]
    assert [found for _, *found in calls] == [[True, True]] * 2


@pytest.mark.parametrize(
    "command",
    [
        "",
        "footprint",
        "train",
        "model --batch 4",
        "model --batch_size 0",
        "model --precision float64",
        "grouped_conv --stride 3",
    ],
)
def test_an_option_that_argparse_refuses(command, calls, capsys):
    with pytest.raises(SystemExit) as error:
        benchmark(command.split())
    assert error.value.code == 2
    assert calls == []
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("model --config fc_cban", "--config: no config is named 'fc_cban' in "),
        ("model --config none.yaml", "none.yaml: the config cannot be read"),
        ("model --json none/m.json", "--json none/m.json: expected a file in a folder that exists"),
        ("grouped_conv --groups 48", "--groups: expected a divisor of the channels of 56x56x128, found 48"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_measured(command, message, calls, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert benchmark(command.split()) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith(f"error: {message}")
    assert (calls, captured.out) == ([], "")


@pytest.mark.parametrize("command", ["model", "grouped_conv"])
def test_without_torch_the_status_is_1(command, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("jax.config.update", lambda name, value: None)
    assert benchmark([command]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: torch is not installed for this Python")


def test_data_names_all_that_is_missing(calls, monkeypatch, capsys):
    for name in ("torch", "grain", "simplejpeg"):
        monkeypatch.setitem(sys.modules, name, None)
    assert benchmark(["data"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "error: benchmark.py data needs torch, grain, simplejpeg, not installed for this Python"
    assert calls == []


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, ""),
        (PermissionError(13, "Permission denied", "/locked"), 1, "error: /locked: Permission denied\n"),
        (
            ModuleNotFoundError("No module named 'flax.linen'", name="flax.linen"),
            1,
            "error: flax.linen is not installed for this Python; the benchmark needs it\n",
        ),
    ],
    ids=["Ctrl-C", "permission", "package"],
)
def test_what_ends_it(error, status, message, calls, monkeypatch, capsys):
    def run(options, **around):
        raise error

    monkeypatch.setattr(convolutions, "run", run)
    monkeypatch.setattr(cli_benchmark, "_BUSY", 1e9)
    assert benchmark(["grouped_conv"]) == status
    assert capsys.readouterr().err == message


def test_a_module_that_nobody_installs_is_a_defect(calls, monkeypatch):
    def run(options, **around):
        raise ModuleNotFoundError("No module named 'jaxnext.gone'", name="jaxnext.gone")

    monkeypatch.setattr(convolutions, "run", run)
    with pytest.raises(ModuleNotFoundError):
        benchmark(["grouped_conv"])


HIDE = """
import importlib.machinery, runpy, sys
from pathlib import Path

hidden = ("grain orbax jsonargparse simplejpeg PIL sklearn matplotlib tqdm docstring_parser safetensors "
          "torchvision tensorstore").split()
find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.partition(".")[0] in hidden else find(name, path, target)
)
script, *sys.argv[1:] = sys.argv[1:]
sys.path[0] = str(Path(script).parent)
sys.argv[0] = script
runpy.run_path(script, run_name="__main__")
"""
"""Runs a script in a Python that has only what the benchmark may need."""


def script(*arguments: object, cwd: Path, check: str = HIDE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", check, str(ROOT / "scripts" / "benchmark.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def test_help_does_not_wait_for_jax(tmp_path):
    after = "import atexit, sys\natexit.register(lambda: print(sorted({'jax', 'torch', 'numpy'} & set(sys.modules))))\n"
    helped = script("model", "--help", cwd=tmp_path, check=after + HIDE)
    assert helped.returncode == 0, helped.stderr
    assert helped.stdout.splitlines()[-1] == "[]"
    assert "--no_torch_compile" in helped.stdout


@pytest.mark.slow
def test_only_torch_jax_flax_and_optax_are_needed(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "tiny.yaml").write_text(dump_config(CONFIG))
    small = "--config tiny.yaml --image_size 32 --batch_size 2 --rounds 1 --no_torch_compile --json m.json"
    measured = script("model", *small.split(), cwd=tmp_path)
    assert measured.returncode == 0, measured.stderr
    result = json.loads((tmp_path / "m.json").read_text())
    assert result["train_ratio_to_torch"] > 0
    assert result["inference_ratio_to_torch"] > 0
    small = "--shapes 4x4x8 --groups 4 --rounds 1 --json g.json"
    measured = script("grouped_conv", *small.split(), cwd=tmp_path)
    assert measured.returncode == 0, measured.stderr
    assert list(json.loads((tmp_path / "g.json").read_text())["shapes"]) == ["4x4x8"]
