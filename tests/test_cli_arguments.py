import contextlib
import io
import re
from pathlib import Path

import pytest

from jaxnext.cli.arguments import (
    EvaluateArguments,
    ExportArguments,
    PortArguments,
    PredictArguments,
    TrainArguments,
    parse_evaluate,
    parse_export_weights,
    parse_port_weights,
    parse_predict,
    parse_train,
)
from jaxnext.cli.distributed import Distributed
from jaxnext.config.sections import Config, DataConfig, ModelConfig, OptimizerConfig
from jaxnext.config.yaml_text import load_config
from jaxnext.errors import UsageError

TINY = "epochs: 3\nmodel: {head: fc, attention_options: {a: 1}}\n"


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "other.yaml").write_text("epochs: 4")
    return folder


def test_train_reads_the_file_first_wherever_the_overrides_stand(configs: Path) -> None:
    argv = ["--epochs", "7", "--optimizer.learning_rate", "1e-5", "--config", "tiny", "--model.attention_options.b=2"]
    expected = Config(
        epochs=7,
        model=ModelConfig(head="fc", attention_options={"a": 1, "b": 2}),
        optimizer=OptimizerConfig(learning_rate=1e-5),
    )
    expected_arguments = TrainArguments(expected, Path("runs/tiny"), resume=False, compilation_cache=None)
    assert parse_train(argv, configs) == expected_arguments


def test_the_compilation_cache_is_no_setting_of_the_run(configs: Path) -> None:
    read = parse_train(["--config", "tiny", "--compilation_cache", "false"], configs)
    assert read.compilation_cache is False
    assert read.config == parse_train(["--config", "tiny"], configs).config


def test_train_output_and_resume(configs: Path) -> None:
    read = parse_train(["--config", str(configs / "tiny.yaml"), "--output", "there", "--resume", "auto"], configs)
    assert (read.output, read.resume) == (Path("there"), True)
    assert parse_train(["--config", str(configs / "tiny.yaml")], configs).output == Path("runs/tiny")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "--config is missing: give one of other, tiny, or the path of a .yaml file"),
        (["--config", "tiny", "--resume", "true"], "--resume: expected auto or null, found true"),
        (["--config", "tiny", "--model.dropot", "1"], "unknown option --model.dropot; did you mean --model.dropout?"),
        (["--config", "tiny", "--outptu", "x"], "unknown option --outptu; did you mean --output?"),
        (["--config", "tiny", "--model.classes", "0"], "model.classes: expected null or at least 1, found 0"),
        (["--config", "tiny", "tiny"], "unexpected argument 'tiny'"),
    ],
)
def test_mistakes_of_train(configs: Path, argv: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_train(argv, configs)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", None),
        ("--distributed false", None),
        ("--distributed true", Distributed()),
        (
            "--coordinator_address host:1234 --num_processes 4 --process_id 3",
            Distributed(coordinator_address="host:1234", num_processes=4, process_id=3),
        ),
        ("--process_id 0 --num_processes 1 --coordinator_address [::1]:80", Distributed("[::1]:80", 1, 0)),
    ],
)
def test_how_several_processes_find_each_other(configs: Path, options: str, expected: Distributed | None) -> None:
    assert parse_train(["--config", "tiny", *options.split()], configs).distributed == expected


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            "--process_id 0",
            "--coordinator_address and --num_processes missing: several processes need "
            "--coordinator_address HOST:PORT, --num_processes N and --process_id I, or --distributed true",
        ),
        (
            "--coordinator_address h:1 --process_id 0",
            "--num_processes missing: several processes need --coordinator_address HOST:PORT, "
            "--num_processes N and --process_id I, or --distributed true",
        ),
        (
            "--distributed true --process_id 0",
            "--distributed true finds out --process_id by itself: give only one of the two",
        ),
        ("--coordinator_address h:1 --num_processes 2 --process_id 2", "--process_id: expected 0 to 1, found 2"),
        ("--coordinator_address h:1 --num_processes 2 --process_id=-1", "--process_id: expected 0 to 1, found -1"),
        ("--coordinator_address h:1 --num_processes 0 --process_id 0", "--num_processes: expected at least 1, found 0"),
    ],
)
def test_mistakes_of_several_processes(configs: Path, options: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_train(["--config", "tiny", *options.split()], configs)
    assert str(error.value) == sentence


@pytest.mark.parametrize("address", ["h", "h:", ":80", "h:0", "h:x", "h:65536", "h:\u0662"])
def test_a_coordinator_address_without_a_port(configs: Path, address: str) -> None:
    options = ["--coordinator_address", address, "--num_processes", "2", "--process_id", "0"]
    with pytest.raises(UsageError) as error:
        parse_train(["--config", "tiny", *options], configs)
    assert str(error.value) == f"--coordinator_address: expected HOST:PORT, found {address}"


def test_a_mistake_in_the_file_names_the_file(configs: Path) -> None:
    (configs / "tiny.yaml").write_text("model: {dropot: 0.1}")
    sentence = f"{configs / 'tiny.yaml'}: unknown key model.dropot; did you mean model.dropout?"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        parse_train(["--config", "tiny"], configs)


def test_print_config_can_be_loaded_again(configs: Path, tmp_path: Path) -> None:
    argv = ["--config", "tiny", "--model.stage_sizes", "[1,1,1,1]", "--optimizer.learning_rate", "1e-5"]
    expected = parse_train(argv, configs).config
    shown = io.StringIO()
    with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(shown):
        parse_train([*argv, "--print_config"], configs)
    assert end.value.code == 0
    again = tmp_path / "again.yaml"
    again.write_text(shown.getvalue())
    assert load_config(again) == expected
    assert parse_train(["--config", str(again)], configs).config == expected


def test_port_weights(configs: Path) -> None:
    argv = ["net.pth", "--config", "tiny", "--output", "there", "--model.groups", "1", "--data.image_size", "64"]
    expected = Config(
        epochs=3, data=DataConfig(image_size=64), model=ModelConfig(head="fc", attention_options={"a": 1}, groups=1)
    )
    assert parse_port_weights(argv, configs) == PortArguments(
        "net.pth",
        expected,
        Path("there"),
        None,
        ("net.pth", "--config", "tiny", "--model.groups", "1", "--data.image_size", "64"),
    )
    assert parse_port_weights(["--output=there", "a b", "--config", "tiny"], configs).words == (
        "a b",
        "--config",
        "tiny",
    )
    assert parse_port_weights([*argv, "--classes", "names.txt"], configs).classes == Path("names.txt")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["net.pth"], "--config is missing: give one of other, tiny, or the path of a .yaml file"),
        (["--config", "tiny"], "SOURCE is missing: give a .pth, .pt or .safetensors file, or imagenet1k_v2"),
        (["net.pth", "--config", "tiny"], "--output is missing: give the folder that receives the checkpoint"),
        (["a.pth", "b.pth", "--config", "tiny", "--output", "x"], "unexpected argument 'b.pth'"),
    ],
)
def test_mistakes_of_port_weights(configs: Path, argv: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_port_weights(argv, configs)
    assert str(error.value) == sentence


def test_port_weights_takes_no_settings_of_training(configs: Path) -> None:
    with pytest.raises(UsageError, match="unknown option --epochs"):
        parse_port_weights(["a.pth", "--config", "tiny", "--output", "x", "--epochs", "3"], configs)


def test_predict_defaults() -> None:
    assert parse_predict(["--checkpoint", "run", "--data", "a"]) == PredictArguments(
        checkpoint=Path("run"),
        which="best",
        data=[Path("a")],
        output=Path("prediction.csv"),
        probabilities=False,
        top_k=None,
        batch_size=16,
        workers=None,
        keep_extension=False,
        compilation_cache=None,
    )


def test_predict_options() -> None:
    argv = "--data a b --checkpoint run --which last --data c --output x.csv --probabilities true --top_k 3"
    argv += " --batch_size 2 --workers 0 --keep_extension true --compilation_cache false"
    assert parse_predict(argv.split()) == PredictArguments(
        checkpoint=Path("run"),
        which="last",
        data=[Path("a"), Path("b"), Path("c")],
        output=Path("x.csv"),
        probabilities=True,
        top_k=3,
        batch_size=2,
        workers=0,
        keep_extension=True,
        compilation_cache=False,
    )


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("", "--checkpoint is missing: give the folder of a run or of a ported checkpoint"),
        ("--checkpoint x", "--data is missing: give a folder of images, or image files"),
        ("--checkpoint x --data a --which bst", "--which: expected one of best, last, found 'bst'"),
        ("--checkpoint x --data a --probabilities yes", "--probabilities: expected true or false, found 'yes'"),
        ("--checkpoint x --data a --top_k 0", "--top_k: expected at least 1, found 0"),
        ("--checkpoint x --data a --batch_size 0", "--batch_size: expected at least 1, found 0"),
        ("--checkpoint x --data a --workers=-1", "--workers: expected at least 0, found -1"),
        ("--checkpoint x --data a --topk 3", "unknown option --topk; did you mean --top_k?"),
    ],
)
def test_mistakes_of_predict(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_predict(argv.split())
    assert str(error.value) == sentence


def test_evaluate() -> None:
    assert parse_evaluate(["--checkpoint", "run"]) == EvaluateArguments(Path("run"), "best", None, 16, None, None)
    argv = "--checkpoint run --which last --data a --batch_size 3 --workers 1 --compilation_cache false"
    assert parse_evaluate(argv.split()) == EvaluateArguments(Path("run"), "last", Path("a"), 3, 1, False)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("", "--checkpoint is missing: give the folder of a run or of a ported checkpoint"),
        ("--checkpoint x --data a b", "unexpected argument 'b'"),
        ("--checkpoint x --batch_size 0", "--batch_size: expected at least 1, found 0"),
    ],
)
def test_mistakes_of_evaluate(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_evaluate(argv.split())
    assert str(error.value) == sentence


def test_export_weights() -> None:
    read = parse_export_weights(["run", "--output", "a/model.safetensors"])
    assert read == ExportArguments(Path("run"), "best", Path("a/model.safetensors"), "safetensors", None)
    argv = "--output model.pth --which last --classes names.txt run"
    expected = ExportArguments(Path("run"), "last", Path("model.pth"), "pth", Path("names.txt"))
    assert parse_export_weights(argv.split()) == expected


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("--output x.pth", "RUN is missing: give the folder of a run or of a ported checkpoint"),
        ("run", "--output is missing: give a file that ends in .safetensors or .pth"),
        ("run --output x.onnx", "--output: expected a file that ends in .safetensors or .pth, found x.onnx"),
        ("run --output pth", "--output: expected a file that ends in .safetensors or .pth, found pth"),
        ("run --output x.pth --which every", "--which: expected one of best, last, found 'every'"),
        ("run --output x.pth --classes x.pth", "--classes: expected another file than --output, found x.pth"),
        ("run other --output x.pth", "unexpected argument 'other'"),
    ],
)
def test_mistakes_of_export_weights(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_export_weights(argv.split())
    assert str(error.value) == sentence


def test_export_weights_compares_files_and_not_their_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for other in (tmp_path / "q.pth", "./q.pth", "link/q.pth"):
        with pytest.raises(UsageError) as error:
            parse_export_weights(["run", "--output", "q.pth", "--classes", str(other)])
        assert str(error.value) == f"--classes: expected another file than --output, found {Path(other)}"
    assert parse_export_weights(["run", "--output", "q.pth", "--classes", "q.txt"]).classes == Path("q.txt")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a" * 300, f"expected a path that is not too long for the system, found {'a' * 80}..."),
        ("a\0b", "expected a path, found one with a null character: 'a\\x00b'"),
    ],
)
def test_paths_that_no_system_has(configs: Path, text: str, sentence: str) -> None:
    calls = {
        "RUN": lambda: parse_export_weights([text, "--output", "q.pth"]),
        "--output": lambda: parse_export_weights(["run", "--output", f"{text}.pth"]),
        "--classes": lambda: parse_export_weights(["run", "--output", "q.pth", "--classes", text]),
        "SOURCE": lambda: parse_port_weights([text, "--config", "tiny", "--output", "x"], configs),
        "--output ": lambda: parse_port_weights(["x", "--config", "tiny", "--output", text], configs),
        "--output  ": lambda: parse_train(["--config", "tiny", "--output", text], configs),
        "--checkpoint": lambda: parse_evaluate(["--checkpoint", text]),
        "--data": lambda: parse_predict(["--checkpoint", "run", "--data", text]),
    }
    for option, call in calls.items():
        with pytest.raises(UsageError) as error:
            call()
        assert str(error.value).replace(".pth'", "'") == f"{option.strip()}: {sentence}"
