import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import small_run
from small_run import model_of

from jaxnext.engine.checkpoint import Checkpoints, Meta
from jaxnext.errors import JaxnextError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.metrics import Accumulator
from jaxnext.weights.average import Ingredient, Measured, average, greedy_soup, mean, read_ingredients, uniform_soup

CLASSES = small_run.CLASSES


def bars(total: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, disable=True)


QUIET: dict[str, Any] = {"batch_size": 8, "workers": 0, "cores": 2, "bar": bars}


def saved(folder: Path, run: Path, change: Any = lambda flat: flat, **meta: Any) -> Path:
    """A checkpoint like the run's with other parameters."""
    variables, kept = model_of(run, "best")
    variables = {**variables, "params": change(variables["params"])}
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_model("best", kept.epoch, variables, dataclasses.replace(kept, **meta))
    return folder


def made(places: list[Path], output: Path, method: Any = "uniform") -> tuple[Meta, list[str]]:
    lines: list[str] = []
    return average(places, "best", method, output, say=lines.append, warn=lines.append, **QUIET), lines


# ---- the mean ----


def test_mean_by_hand() -> None:
    trees = [
        {"params": {"a": np.array([1.0, 2.0], np.float32)}, "batch_stats": {"n": np.array(3, np.int32)}},
        {"params": {"a": np.array([2.0, -2.0], np.float32)}, "batch_stats": {"n": np.array(5, np.int32)}},
    ]
    found = mean(trees)
    assert found["params"]["a"].tolist() == [1.5, 0.0]
    assert found["params"]["a"].dtype == np.float32
    assert (found["batch_stats"]["n"], found["batch_stats"]["n"].dtype) == (5, np.int32)


def test_mean_of_the_same_net_three_times_is_the_net_to_the_bit() -> None:
    leaf = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    np.testing.assert_array_equal(mean([{"a": leaf}] * 3)["a"], leaf)


# ---- which nets ----


class Images:
    """Nets of one number each; accuracy falls with its distance from 1."""

    def recalibrated(self, variables: Any) -> Any:
        return variables | {"anew": True}

    def measure(self, variables: Any) -> Accumulator:
        distance = abs(float(variables["a"]) - 1)
        sums = {"count": np.array(100), "correct": np.array(100 - 10 * distance), "loss": np.array(distance)}
        return Accumulator(sums)


def soup(kind: Any, *numbers: float) -> tuple[Any, Measured, list[int], list[str]]:
    meta: Any = None
    nets = [Ingredient(Path(f"r{i}"), {"a": np.array(number)}, meta) for i, number in enumerate(numbers)]
    images: Any = Images()
    alone = [Measured.of(images.measure(net.variables)) for net in nets]
    lines: list[str] = []
    return *kind(nets, alone, images, lines.append), lines


def test_a_greedy_soup_leaves_out_a_bad_net() -> None:
    variables, found, used, lines = soup(greedy_soup, 9.0, 2.0, 1.5, -0.5)
    # 1.5 alone; with 2.0 1.75, worse; with -0.5 0.5, as good; with 9.0 worse.
    assert used == [2, 3]
    assert (float(variables["a"]), variables["anew"]) == (0.5, True)
    assert found == Measured(0.95, 0.005)
    assert lines == [
        "with r1: accuracy 92.50%, loss 0.0075; left out",
        "with r3: accuracy 95.00%, loss 0.0050; kept",
        "with r0: accuracy 76.67%, loss 0.0233; left out",
    ]


def test_a_greedy_soup_of_one_net_is_that_net() -> None:
    variables, found, used, _ = soup(greedy_soup, 1.0, 5.0)
    assert (used, found) == ([0], Measured(1.0, 0.0))
    assert "anew" not in variables


def test_a_uniform_soup_has_all() -> None:
    variables, found, used, lines = soup(uniform_soup, 2.0, 3.0)
    assert (used, float(variables["a"]), variables["anew"], lines) == ([0, 1], 2.5, True, [])
    assert found == Measured(0.85, 0.015)


# ---- refused ----


def test_nets_that_differ_are_refused_with_what_differs(run: Path, tmp_path: Path) -> None:
    def wider(params: Any) -> Any:
        head = {**params["head"], "output": {**params["head"]["output"], "bias": np.zeros(13, np.float32)}}
        return {**params, "head": head}

    config = model_of(run, "best")[1].config
    other_mean = dataclasses.replace(config, model=dataclasses.replace(config.model, mean=(0.5, 0.5, 0.5)))
    other_size = dataclasses.replace(config, data=dataclasses.replace(config.data, image_size=20))
    cases = {
        "leaves": (saved(tmp_path / "leaves", run, wider), "the net of R; params/head/output/bias: expected [12], "),
        "classes": (saved(tmp_path / "classes", run, classes=CLASSES[::-1]), "the classes in the same order of R, "),
        "mean": (saved(tmp_path / "mean", run, config=other_mean), "the normalisation of R, "),
        "pixels": (saved(tmp_path / "pixels", run, config=other_size), "the pixels of R, "),
        "validation": (saved(tmp_path / "validation", run, validation="another"), "the validation images of R, "),
        "head": (saved(tmp_path / "head", run, trained=("backbone",), classes=None), "a trained net, found the parts"),
    }
    for place, sentence in cases.values():
        with pytest.raises(JaxnextError) as refused:
            read_ingredients([run, place], "best")
        assert str(refused.value).replace(str(run), "R").startswith(f"{place}: expected {sentence}")


def test_dropout_may_differ(run: Path, tmp_path: Path) -> None:
    config = model_of(run, "best")[1].config
    head = dataclasses.replace(config.model.head, options={**config.model.head.options, "dropout": 0.5})
    other = dataclasses.replace(config, model=dataclasses.replace(config.model, head=head))
    assert len(read_ingredients([run, saved(tmp_path / "r", run, config=other)], "best")) == 2


def test_an_output_that_holds_a_checkpoint_is_refused(run: Path) -> None:
    with pytest.raises(JaxnextError, match="expected a new folder, found one that holds a run"):
        made([run, run], run)


def test_images_that_are_no_longer_the_runs_are_refused(run: Path, tmp_path: Path) -> None:
    other = small_run.write_images(tmp_path / "images", {"train": 1, "val": 1})
    config = model_of(run, "best")[1].config
    moved = dataclasses.replace(config, data=dataclasses.replace(config.data, path=str(other)))
    places = [saved(tmp_path / name, run, config=moved) for name in "ab"]
    sentence = f"{other}: expected the classes and validation images of {places[0]}, found others"
    with pytest.raises(JaxnextError) as refused:
        made(places, tmp_path / "out")
    assert str(refused.value) == sentence
    assert not (tmp_path / "out").exists()


# ---- whole ----


@pytest.mark.slow
def test_a_soup_is_a_checkpoint_that_predicts(run: Path, images: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def noisy(size: float) -> Any:
        def change(params: Any) -> Any:
            return jax.tree.map(lambda leaf: leaf + (size * random.normal(size=leaf.shape)).astype(leaf.dtype), params)

        return change

    near, far = (saved(tmp_path / name, run, noisy(size)) for name, size in (("near", 1e-3), ("far", 3.0)))
    meta, lines = made([run, near], tmp_path / "uniform")
    variables, kept = model_of(tmp_path / "uniform", "best")
    right = mean([model_of(place, "best")[0] for place in (run, near)])
    jax.tree.map(np.testing.assert_array_equal, variables["params"], right["params"])
    assert kept == meta
    assert variables["batch_stats"]["backbone"]["stem_norm"]["num_batches_tracked"] == 10  # batches of training images
    assert [line.partition(":")[0] for line in lines] == [str(run), str(near), "soup of 2 of 2", f"{tmp_path}/uniform"]
    record = json.loads((tmp_path / "uniform" / "average.json").read_text())
    assert (record["method"], record["val_accuracy"]) == ("uniform", kept.val_accuracy)
    assert [each["used"] for each in record["runs"]] == [True, True]
    found = TrainedClassifier(tmp_path / "uniform").predict(sorted((images / "test").glob("*.jpg"))[:3])
    assert found.shape == (3, 12)

    made([far, run], tmp_path / "greedy", "greedy")
    record = json.loads((tmp_path / "greedy" / "average.json").read_text())
    assert [each["used"] for each in record["runs"]] == [False, True]
    jax.tree.map(np.testing.assert_array_equal, *(model_of(p, "best")[0] for p in (tmp_path / "greedy", run)))
