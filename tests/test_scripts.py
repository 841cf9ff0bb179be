"""The scripts as a user runs them: processes, signals, exit statuses, what they print and write."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import small_run
from model_leaves import leaves_of
from torch_writer import save_zip

from jaxnext.config.yaml_text import dump_config
from jaxnext.engine.checkpoint import Checkpoints
from jaxnext.porting.torchvision import to_torch, weight_map

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "true", "PYTHONUNBUFFERED": "1"}


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory, monkeypatch):
    """Not the user's."""
    monkeypatch.setitem(ENVIRONMENT, "XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def script(name: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / name), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)


def epochs_in(output: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (output / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_train_interrupt_resume_predict_evaluate(images, tmp_path):
    (tmp_path / "small.yaml").write_text(dump_config(small_run.config(images, epochs=6)))
    train = [sys.executable, str(ROOT / "scripts" / "train.py"), "--config", "small.yaml", "--output", "run"]
    with subprocess.Popen(
        train, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line.rstrip())
            if line.startswith("epoch 1/6: "):
                process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert said[-1].startswith("stopped and saved; go on with: ")
    done = len(epochs_in(tmp_path / "run"))
    assert 1 <= done < 6

    again = shlex.split(said[-1].partition("go on with: ")[2])
    finished = subprocess.run(again, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    assert f"resuming after epoch {done}" in finished.stdout
    # The validation step of so small a net may compile too quickly to be kept.
    assert re.search("^(training step )?found in the compilation cache ", finished.stdout, re.MULTILINE)
    assert epochs_in(tmp_path / "run") == [1, 2, 3, 4, 5, 6]

    predicted = script("predict.py", "--checkpoint", "run", "--data", images / "test", cwd=tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    with (tmp_path / "prediction.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["image_name", "pred_label"]
    assert len(rows) == 1 + 24
    assert sum(name.startswith(f"class{label}_") for name, label in rows[1:]) >= 18

    evaluated = script("evaluate.py", "--checkpoint", "run", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    assert evaluated.stdout.splitlines()[0] == "images           24"
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert f"top-1 accuracy   {max(r['val_accuracy'] for r in records):.2%}" in evaluated.stdout


@pytest.mark.slow
def test_programs_of_an_earlier_start_give_the_same_run_bit_for_bit(images, tmp_path):
    (tmp_path / "small.yaml").write_text(dump_config(small_run.config(images, epochs=1)))
    said, records, weights = [], [], []
    for output in ("compiled", "found"):
        options = "--config", "small.yaml", "--output", output, "--compilation_cache", "true"
        trained = script("train.py", *options, cwd=tmp_path)
        assert (trained.returncode, trained.stderr) == (0, "")
        said.append(trained.stdout.splitlines()[-3])
        record = json.loads((tmp_path / output / "metrics.jsonl").read_text())
        records.append({k: v for k, v in record.items() if k.startswith(("train_", "val_"))})
        with Checkpoints(tmp_path / output) as checkpoints:
            weights.append(checkpoints.restore_model("last")[0])
    assert said[0].startswith("compiled in ")
    # The validation step of so small a net may compile too quickly to be kept.
    assert re.match("(training step )?found in the compilation cache ", said[1])
    assert records[0] == records[1]
    jax.tree.map(np.testing.assert_array_equal, *weights)


@pytest.mark.slow
def test_port_then_fine_tune_the_backbone(images, tmp_path):
    net = small_run.config(images).model
    leaves = leaves_of(net.stage_sizes, net.widths, net.features, net.groups, net.stem_features, False, (), 1000)
    random = np.random.default_rng(0)
    tensors = {}
    for path, entry in weight_map(leaves).items():
        shape, dtype = leaves[path]
        value = np.array(7, dtype) if entry.transform == "counter" else random.random(shape).astype(dtype)
        tensors[entry.source] = np.array(to_torch(entry.transform, value), order="C")
    save_zip(tmp_path / "imagenet.pth", tensors)
    (tmp_path / "small.yaml").write_text(dump_config(small_run.config(images, epochs=1)))

    ported = script("port_weights.py", "imagenet.pth", "--config", "small.yaml", "--output", "weights", cwd=tmp_path)
    assert ported.returncode == 0, ported.stderr
    refused = script("predict.py", "--checkpoint", "weights", "--data", images / "test", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: weights: expected a trained head, found the parts backbone")
    trained = script("train.py", "--config", "small.yaml", "--model.weights", "weights", "--output", "r", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "backbone: from weights" in trained.stdout
    assert "attention: newly initialised" in trained.stdout
    assert "head: newly initialised" in trained.stdout
    again = script("train.py", "--config", "small.yaml", "--model.weights", "weights", "--output", "r", cwd=tmp_path)
    assert again.returncode == 2
    assert again.stderr == (
        "error: r: the folder holds a run; go on with it with --resume auto, or give another --output\n"
    )


COMMANDS = sorted(file.stem for file in (ROOT / "scripts").glob("*.py") if 'call("' in file.read_text())


def test_every_command_of_the_checkout_is_five_lines():
    assert {"train", "predict", "port_weights"} <= set(COMMANDS)
    for name in COMMANDS:
        lines = (ROOT / "scripts" / f"{name}.py").read_text().splitlines()
        assert len([line for line in lines if line and not line.startswith("#")]) == 5


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_how_the_script_is_called(name, tmp_path):
    shown = script(f"{name}.py", "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(f"usage: python scripts/{name}.py ")


@pytest.mark.parametrize("package", ["yaml", "jax"])
def test_without_installation_the_sentence_gives_the_command(package, tmp_path):
    # -S leaves out what is installed; jax is needed later than the others.
    path = f"import sys\nsys.path += {[p for p in sys.path if package == 'jax']}\nsys.modules[{package!r}] = None\n"
    code = f"{path}sys.path.insert(0, {str(ROOT / 'scripts')!r})\nfrom checkout import call\nsys.exit(call('predict'))"
    command = [sys.executable, "-S", "-c", code, "--checkpoint", "a", "--data", "b"]
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    missing = "jax" if package == "jax" else "docstring_parser"
    assert refused.stderr == (
        f"error: {missing} is not installed for this Python; run {sys.executable} -m pip install -e {ROOT}\n"
    )


@pytest.mark.slow
def test_a_name_that_is_not_utf_8_is_shown(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    for arguments, status in ((["--checkpoint", name, "--data", "x"], 1), (["--checkpoint", "x", "--data", name], 1)):
        command = [sys.executable, str(ROOT / "scripts/predict.py"), *arguments]
        found = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=False)
        assert found.returncode == status
        assert found.stderr.startswith(b"error: ")
        assert b"Traceback" not in found.stderr


def test_an_unknown_option_is_one_sentence_and_status_2(tmp_path):
    refused = script("train.py", "--config", "fc_cbam", "--model.dropot", "0.1", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "error: unknown option --model.dropot; did you mean --model.head.dropout?\n"
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_in_an_export_is_one_sentence(tmp_path):
    refused = script("export_weights.py", "none", "--output", "a.pth", cwd=tmp_path)
    sentence = "none: expected the folder of a run or of a ported checkpoint, found no checkpoints/ in it"
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", f"error: {sentence}\n")
    assert list(tmp_path.iterdir()) == []
