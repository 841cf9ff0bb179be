import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest
from flat_config import model_config

from jaxnext.config.sections import Config, DataConfig
from jaxnext.engine.checkpoint import Checkpoints, Meta, preprocessing
from jaxnext.engine.optimizers.adam import Optimizer
from jaxnext.engine.optimizers.sgd import Optimizer as Sgd
from jaxnext.errors import JaxnextError

ROOT = Path(__file__).resolve().parent.parent


def variables_of(seed: int) -> dict[str, Any]:
    """Leaves of every kind that a model has, with values that only a copy of every bit brings back."""
    generator = np.random.default_rng(seed)
    kernel = generator.standard_normal((3, 4)).astype(np.float32)
    kernel[0] = [np.nan, np.inf, -0.0, 1e-45]
    return {
        "params": {"head": {"output": {"kernel": kernel, "bias": generator.standard_normal(4)}}},
        "batch_stats": {
            "backbone": {
                "stem_norm": {
                    "mean": generator.standard_normal(4).astype(np.float32),
                    "num_batches_tracked": np.array(2**31 - 1 - seed, np.int32),
                }
            }
        },
    }


def moments_of(seed: int) -> Any:
    """The state of Adam with weight decay, filled."""
    state = Optimizer().transformation().init(variables_of(0)["params"])
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: np.asarray(generator.integers(1, 99, leaf.shape), leaf.dtype), state)


def meta_of(epoch: int, val_accuracy: float | None = 0.1 + 0.2) -> Meta:
    config = Config(epochs=9, data=DataConfig(path="/d/é", image_size=64), model=model_config(head="fc", dropout=0.25))
    return Meta(config, ("0", "1", "10", "2"), ("backbone", "head"), epoch, val_accuracy)


def assert_same(found: Any, expected: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert type(one) is np.ndarray
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def there(folder: Path, kind: str) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints" / kind).iterdir())


@pytest.mark.parametrize("kind", ["best", "every"])
def test_a_model_comes_back_bit_for_bit(tmp_path: Path, kind: str) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_model(kind, 3, variables_of(1), meta_of(3))
    with Checkpoints(tmp_path) as checkpoints:
        variables, meta = checkpoints.restore_model(kind)
    assert_same(variables, variables_of(1))
    assert meta == meta_of(3)


def test_last_comes_back_bit_for_bit(tmp_path: Path) -> None:
    progress = {"progress": {"best": None, "history": [{"loss": 0.1 + 0.2}]}, "counts": {"training images": 3}}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_last(17, variables_of(1), moments_of(2), progress, meta_of(0, None))
    with Checkpoints(tmp_path) as checkpoints:
        shapes = jax.eval_shape(Optimizer().transformation().init, variables_of(1)["params"])
        variables, moments, found, meta = checkpoints.restore_last(shapes)
        assert checkpoints.restore_model("last")[1] == meta
    assert_same(variables, variables_of(1))
    assert isinstance(moments, optax.ScaleByAdamState)
    assert_same(moments, moments_of(2))
    assert found == progress
    assert meta == meta_of(0, None)


def test_an_optimizer_without_a_state_has_none_in_the_checkpoint(tmp_path: Path) -> None:
    nothing = Sgd(momentum=0.0).transformation().init(variables_of(0)["params"])
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_last(17, variables_of(1), nothing, {}, meta_of(0))
    with Checkpoints(tmp_path) as checkpoints:
        variables, state, *_ = checkpoints.restore_last(nothing)
        assert_same(variables, variables_of(1))
        assert state == nothing
        with pytest.raises(JaxnextError, match=r"/last/17: the checkpoint cannot be read \(.*optimizer"):
            checkpoints.restore_last(moments_of(0))


def test_a_state_is_not_taken_by_an_optimizer_without_one(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_last(17, variables_of(1), moments_of(2), {}, meta_of(0))
        with pytest.raises(JaxnextError, match="expected the state of this run's optimizer, found another's"):
            checkpoints.restore_last(Sgd(momentum=0.0).transformation().init(variables_of(0)["params"]))


def test_the_folder_may_be_given_relative_to_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Checkpoints(Path("run")) as checkpoints:
        checkpoints.save_model("best", 1, variables_of(1), meta_of(1))
    assert there(tmp_path / "run", "best") == ["1"]


def test_best_is_replaced_last_keeps_two_and_every_all(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        for number in (2, 5, 11):
            checkpoints.save_model("best", number, variables_of(number), meta_of(number))
            checkpoints.save_model("every", number, variables_of(number), meta_of(number))
            checkpoints.save_last(number, variables_of(number), moments_of(number), {}, meta_of(number))
            assert there(tmp_path, "best") == [str(number)]
        assert there(tmp_path, "last") == ["11", "5"]
        assert there(tmp_path, "every") == ["11", "2", "5"]
        assert [checkpoints.latest(kind) for kind in ("best", "last", "every")] == [11, 11, 11]
        assert_same(checkpoints.restore_model("every")[0], variables_of(11))
        assert_same(checkpoints.restore_last(moments_of(0))[1], moments_of(11))


def test_one_that_is_there_already_stays(tmp_path: Path) -> None:
    for seed in (1, 2):
        with Checkpoints(tmp_path) as checkpoints:
            checkpoints.save_model("best", 4, variables_of(seed), meta_of(4, seed / 10))
            checkpoints.save_last(4, variables_of(seed), moments_of(seed), {"seed": seed}, meta_of(4))
    with Checkpoints(tmp_path) as checkpoints:
        variables, meta = checkpoints.restore_model("best")
        _, moments, progress, _ = checkpoints.restore_last(moments_of(0))
    assert_same(variables, variables_of(1))
    assert meta.val_accuracy == 0.1
    assert_same(moments, moments_of(1))
    assert progress == {"seed": 1}


def test_an_older_one_is_refused_and_not_left_out_in_silence(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_model("best", 5, variables_of(5), meta_of(5))
        expected = (
            f"{tmp_path}/checkpoints/best: expected to save a checkpoint newer than 5, found number 1; "
            "the folder holds another run: give another --output"
        )
        with pytest.raises(JaxnextError, match=f"^{re.escape(expected)}$"):
            checkpoints.save_model("best", 1, variables_of(1), meta_of(1))
    assert there(tmp_path, "best") == ["5"]


def test_latest_creates_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Checkpoints(folder) as checkpoints:
        assert [checkpoints.latest(kind) for kind in ("best", "last", "every")] == [None] * 3
    assert not folder.exists()
    (folder / "checkpoints" / "best").mkdir(parents=True)
    with Checkpoints(folder) as checkpoints:
        assert checkpoints.latest("best") is None
    assert sorted(path.name for path in folder.rglob("*")) == ["best", "checkpoints"]


def test_the_arrays_given_may_change_after_the_save(tmp_path: Path) -> None:
    variables = variables_of(1)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_model("best", 1, variables, meta_of(1))
        variables["params"]["head"]["output"]["bias"][:] = 0
        assert_same(checkpoints.restore_model("best")[0], variables_of(1))


# Errors


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``best`` 3 and ``last`` 7; tests that change it copy it."""
    folder = tmp_path_factory.mktemp("saved")
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_model("best", 3, variables_of(3), meta_of(3))
        checkpoints.save_last(7, variables_of(7), moments_of(7), {"position": 7}, meta_of(3))
    return folder


def test_a_missing_kind_lists_those_there(saved: Path, tmp_path: Path) -> None:
    with (
        Checkpoints(saved) as checkpoints,
        pytest.raises(
            JaxnextError,
            match=f"^{re.escape(str(saved))}: expected a checkpoint 'every', found none; it has: best, last$",
        ),
    ):
        checkpoints.restore_model("every")
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(JaxnextError, match=f"^{re.escape(str(tmp_path))}: expected a checkpoint 'best', found none$"),
    ):
        checkpoints.restore_model("best")
    assert list(tmp_path.iterdir()) == []


def test_the_state_of_another_optimizer(saved: Path) -> None:
    expected = f"{saved}/checkpoints/last: expected the state of this run's optimizer, found another's"
    adam = optax.scale_by_adam()
    others = [
        optax.trace(0.9).init(variables_of(7)["params"]),
        adam.init({"kernel": np.zeros(3)}),
        adam.init({"kernel": np.zeros((3, 4)), "bias": np.zeros(5)}),
    ]
    with Checkpoints(saved) as checkpoints:
        for other in others:
            with pytest.raises(JaxnextError, match=f"^{re.escape(expected)}$"):
                checkpoints.restore_last(other)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": truncate,
    "empty": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * (path.stat().st_size // 256 + 1)),
}


# TensorStore's threads answer to Orbax's event loop after the first error has closed it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_sentence_or_does_not_matter(saved: Path, tmp_path: Path, damage: str) -> None:
    place = Path("checkpoints/last/7")
    names = sorted(path.relative_to(saved) for path in (saved / place).rglob("*") if path.is_file())
    refused = set()
    for i, name in enumerate(names):
        folder = tmp_path / str(i)
        shutil.copytree(saved / "checkpoints" / "last", folder / "checkpoints" / "last")
        DAMAGES[damage](folder / name)
        with Checkpoints(folder) as checkpoints:
            try:
                variables, moments, progress, meta = checkpoints.restore_last(moments_of(0))
            except JaxnextError as error:
                text = str(error)
                assert re.fullmatch(rf"{re.escape(str(folder / place))}: the checkpoint cannot be read \(.+\)", text)
                assert len(text) < 600
                refused.add(str(name.relative_to(place)))
                continue
        # Orbax writes some files that it does not need: marks of completion, copies of merged tables.
        assert_same((variables, moments), (variables_of(7), moments_of(7)))
        assert (progress, meta) == ({"position": 7}, meta_of(3))
    needed = {"meta/metadata", "progress/metadata"}
    needed |= {f"{item}/{file}" for item in ("model", "optimizer") for file in ("_METADATA", "manifest.ocdbt")}
    assert refused >= needed


# Digests


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_flipped_bit_is_noticed_or_does_not_matter(saved: Path, tmp_path: Path) -> None:
    place = Path("checkpoints/last/7")
    files = sorted(path for path in (saved / place).rglob("*") if path.is_file() and path.stat().st_size)
    random, noticed = np.random.default_rng(0), 0
    for i in range(30):
        file = files[random.integers(len(files))]
        shutil.copytree(saved, folder := tmp_path / str(i))
        flip(folder / file.relative_to(saved), int(random.integers(8 * file.stat().st_size)))
        with Checkpoints(folder) as checkpoints:
            try:
                variables, moments, progress, meta = checkpoints.restore_last(moments_of(0))
            except JaxnextError:
                noticed += 1
                continue
        assert_same((variables, moments), (variables_of(7), moments_of(7)))
        assert (progress, meta) == ({"position": 7}, meta_of(3))
    assert noticed > 0


def test_other_values_than_were_written_are_named(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "checkpoints/last/7/progress/metadata"
    file.write_text(json.dumps({"position": 8}))
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(JaxnextError) as error:
        checkpoints.restore_last(moments_of(0))
    assert re.search(r"it is not what was written: progress: expected SHA-256 [0-9a-f]{16}, found ", str(error.value))
    # What is not read is not compared.
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore_model("last")[1] == meta_of(3)


def test_digests_may_be_missing_in_what_an_earlier_version_wrote(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    place = tmp_path / "checkpoints/best/3"
    shutil.rmtree(place / "digests")
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(JaxnextError, match=r"best/3: the checkpoint cannot be read \(expected its digests, found"):
            checkpoints.restore_model("best")
        values = json.loads((place / "meta/metadata").read_text())
        (place / "meta/metadata").write_text(json.dumps(values | {"format": 3}))
        assert_same(checkpoints.restore_model("best")[0], variables_of(3))
        assert not checkpoints.verify("best", 3)
        assert checkpoints.verify("last", 7)


def test_a_damaged_last_is_set_aside_for_the_one_before(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        for number in (5, 7):
            checkpoints.save_last(number, variables_of(number), moments_of(number), {}, meta_of(number))
        assert checkpoints.set_aside_damaged() == []
    place = tmp_path / "checkpoints/last/7"
    (place / "progress/metadata").write_text('{"position": 1}')
    with Checkpoints(tmp_path) as checkpoints:
        (line,) = checkpoints.set_aside_damaged()
        kept = tmp_path / "checkpoints/damaged/last-7"
        assert line.startswith(f"{place}: the checkpoint cannot be read (it is not what was written: progress")
        assert line.endswith(f"; it is kept as {kept}, and the run goes on from the one before")
        assert checkpoints.numbers("last") == [5]
        assert_same(checkpoints.restore_last(moments_of(0))[0], variables_of(5))
        checkpoints.save_last(6, variables_of(6), moments_of(6), {}, meta_of(6))
        assert checkpoints.numbers("last") == [5, 6]
    assert kept.is_dir()


def test_where_both_are_damaged_nothing_is_moved(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        for number in (5, 7):
            checkpoints.save_last(number, variables_of(number), moments_of(number), {}, meta_of(number))
    for number in (5, 7):
        (tmp_path / f"checkpoints/last/{number}/progress/metadata").write_text('{"position": 1}')
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(JaxnextError, match="last/7: the checkpoint cannot be read"):
            checkpoints.set_aside_damaged()
        assert checkpoints.numbers("last") == [5, 7]


@pytest.mark.parametrize("item", ["model", "optimizer", "progress", "meta"])
def test_a_missing_item_is_named(saved: Path, tmp_path: Path, item: str) -> None:
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "checkpoints/last/7" / item)
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(JaxnextError, match=rf'checkpoints/last/7: the checkpoint cannot be read \(Item "{item}" was'),
    ):
        checkpoints.restore_last(moments_of(0))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 5}, "expected checkpoint format 4 or an earlier one, found 5"),
        ({"format": None}, "expected checkpoint format 4 or an earlier one, found None"),
        (
            {"preprocessing": preprocessing(meta_of(3).config) | {"filter": "bicubic"}},
            "expected preprocessing {'filter': 'bilinear, antialiased'}, found {'filter': 'bicubic'}",
        ),
        ({"config": "epoch: 3"}, "unknown key epoch; did you mean epochs?"),
        ({"config": "epochs: 0"}, "epochs: expected at least 1, found 0"),
    ],
)
def test_another_meta(saved: Path, tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    place = tmp_path / "checkpoints/best/3"
    values = json.loads((place / "meta/metadata").read_text())
    (place / "meta/metadata").write_text(json.dumps(values | changes))
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(JaxnextError, match=f"^{re.escape(f'{place}: the checkpoint cannot be read ({reason})')}$"),
    ):
        checkpoints.restore_model("best")


def test_meta_as_json() -> None:
    values = meta_of(3).to_json()
    assert {name: value for name, value in values.items() if name != "config"} == {
        "format": 4,
        "classes": ["0", "1", "10", "2"],
        "trained": ["backbone", "head"],
        "epoch": 3,
        "val_accuracy": 0.30000000000000004,
        "validation": None,
        "preprocessing": {
            "size": [64, 64],
            "resize": "stretch",
            "orientation": "exif",
            "depth": "scale",
            "background": "white",
            "filter": "bilinear, antialiased",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
    }
    assert "dropout: 0.25" in values["config"]


def test_a_checkpoint_of_format_2_saw_images_as_they_are_stored() -> None:
    values = meta_of(3).to_json()
    new = ("resize", "crop_share", "orientation", "depth", "background")
    lines = [line for line in values["config"].splitlines() if line.split(":")[0].strip() not in new]
    before = {"image_size": 64, "resize": "bilinear, antialiased, to a square", "mean": [0.485, 0.456, 0.406]}
    old = values | {"format": 2, "config": "\n".join(lines), "preprocessing": before | {"std": [0.229, 0.224, 0.225]}}
    data = meta_of(3).config.data
    stored = dataclasses.replace(data, orientation="stored", depth="clip", background="ignore")
    assert Meta.from_json(old).config.data == stored
    assert Meta.from_json(values).config.data == data


def test_mean_and_deviation_are_the_configs() -> None:
    meta = dataclasses.replace(
        meta_of(3), config=Config(model=model_config(mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 1.0)))
    )
    values = meta.to_json()
    assert (values["preprocessing"]["mean"], values["preprocessing"]["std"]) == ([0.5, 0.5, 0.5], [0.25, 0.5, 1.0])
    assert Meta.from_json(values).config.model.std == (0.25, 0.5, 1.0)
    # Written before they were settings.
    old = meta_of(3).to_json()
    lines = [line for line in old["config"].splitlines() if line.split(":")[0].strip() not in ("mean", "std")]
    assert Meta.from_json(old | {"config": "\n".join(lines)}) == meta_of(3)


@pytest.mark.parametrize(
    "meta", [meta_of(3), Meta(Config(), None, ("backbone",)), Meta(Config(), ("caf\udce9", ""), (), 1, 0.0)]
)
def test_meta_round_trip(meta: Meta) -> None:
    assert Meta.from_json(json.loads(json.dumps(meta.to_json()))) == meta


@pytest.mark.parametrize("where", ["checkpoints", "checkpoints/best"])
def test_a_file_in_the_way(tmp_path: Path, where: str) -> None:
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / where).write_text("x")
    pattern = rf"^{re.escape(str(tmp_path))}/checkpoints/best: the checkpoint cannot be written \(.+\)$"
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(JaxnextError, match=pattern):
        checkpoints.save_model("best", 1, variables_of(1), meta_of(1))


def test_any_failure_to_write_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_model("best", 1, variables_of(1), meta_of(1))

        def full(*_: object, **__: object) -> None:
            # TensorStore's answer to a full disk is no OSError.
            raise ValueError("RESOURCE_EXHAUSTED: No space left on device [tensorstore_spec='{...}']\nmore")

        monkeypatch.setattr("orbax.checkpoint.CheckpointManager.save", full)
        expected = (
            f"{tmp_path}/checkpoints/best: the checkpoint cannot be written "
            "(RESOURCE_EXHAUSTED: No space left on device)"
        )
        with pytest.raises(JaxnextError, match=f"^{re.escape(expected)}$"):
            checkpoints.save_model("best", 2, variables_of(2), meta_of(2))
        assert checkpoints.latest("best") == 1


# Killed while saving


def test_what_a_killed_save_leaves_is_not_taken_for_a_checkpoint(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    last = tmp_path / "checkpoints/last"
    shutil.copytree(last / "7", last / "9.orbax-checkpoint-tmp")
    (last / "9.orbax-checkpoint-tmp" / "meta" / "metadata").unlink()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest("last") == 7
        assert_same(checkpoints.restore_last(moments_of(0))[1], moments_of(7))
        # A reader leaves it: it may be a save at work. The next save knows that it is not.
        assert there(tmp_path, "last") == ["7", "9.orbax-checkpoint-tmp"]
        checkpoints.save_last(8, variables_of(8), moments_of(8), {}, meta_of(3))
    assert there(tmp_path, "last") == ["7", "8"]


KILLED = """
import os, signal, sys
from pathlib import Path

sys.path[:0] = sys.argv[1:3]
from test_checkpoint import Checkpoints, meta_of, moments_of, variables_of

EVENTS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
left = -1


def hook(event, arguments):
    global left
    if left > 0 and (event in EVENTS or (event == "open" and arguments[2] & os.O_CREAT)):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def saves(folder, kill_at):
    global left
    checkpoints = Checkpoints(folder)
    checkpoints.save_last(1, variables_of(1), moments_of(1), {"position": 1}, meta_of(1))
    sys.addaudithook(hook)
    left = kill_at
    checkpoints.save_last(2, variables_of(2), moments_of(2), {"position": 2}, meta_of(2))


# A child for each place: the imports are paid once.
kill_at, status = 1, -1
while os.WIFSIGNALED(status) or status == -1:
    child = os.fork()
    if child == 0:
        saves(Path(sys.argv[3]) / str(kill_at), kill_at)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print(kill_at, "killed" if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
    kill_at += int(sys.argv[4])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_anywhere_in_a_save_the_one_before_is_there(tmp_path: Path) -> None:
    """A process is killed at every eighth file operation of its second save, until the save comes through."""
    command = [sys.executable, "-c", KILLED, str(ROOT), str(ROOT / "tests"), str(tmp_path), "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    outcomes = [line.split() for line in done.stdout.splitlines()]
    assert outcomes, done.stderr
    assert outcomes[-1][1] == "0", done.stderr
    assert len(outcomes) > 5
    newest = []
    for kill_at, _ in outcomes:
        with Checkpoints(tmp_path / kill_at) as checkpoints:
            variables, moments, progress, meta = checkpoints.restore_last(moments_of(0))
            position = progress["position"]
            assert checkpoints.latest("last") == position
            assert_same((variables, moments), (variables_of(position), moments_of(position)))
            assert meta == meta_of(position)
            # The run goes on from there, saves the same position again, and leaves nothing behind.
            checkpoints.save_last(2, variables_of(2), moments_of(2), {"position": 2}, meta_of(2))
            checkpoints.save_last(3, variables_of(3), moments_of(3), {"position": 3}, meta_of(3))
            assert_same(checkpoints.restore_last(moments_of(0))[0], variables_of(3))
        assert there(tmp_path / kill_at, "last") == ["2", "3"]
        newest.append(position)
    assert newest == sorted(newest)
    assert set(newest) == {1, 2}
