import logging
import signal
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import small_run

import jaxnext
from jaxnext.config.sections import Config
from jaxnext.errors import JaxnextError, UsageError


def process() -> list[Any]:
    settings = dict(jax.config.values)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return [settings, handlers, logging.getLogger("absl").level, list(warnings.filters)]


@pytest.mark.slow
def test_a_run_from_python(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before, lines = process(), []
    trained = jaxnext.train(
        small_run.config(images), output=tmp_path / "r", say=lines.append, epochs=1, **{"model.head.dropout": 0.0}
    )
    assert process() == before
    assert trained.folder == tmp_path / "r"
    (record,) = trained.history
    assert trained.best == record
    assert record["epoch"] == 1
    assert lines[-1].startswith(f"done: best validation accuracy {record['val_accuracy']:.2%} in epoch 1")
    with pytest.raises(UsageError, match="the folder holds a run"):
        jaxnext.train(small_run.config(images), output=tmp_path / "r", say=lines.append)
    again = jaxnext.train(
        small_run.config(images),
        output=str(tmp_path / "r"),
        resume=True,
        say=lines.append,
        epochs=1,
        model={"head": {"dropout": 0.0}},
    )
    assert again == trained

    module, variables = jaxnext.load_flax(trained.folder)
    photographs = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    inputs = (photographs / np.float32(255) - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    probabilities = jax.nn.softmax(module.apply(variables, inputs, train=False))
    expected = jaxnext.load(trained.folder).predict(photographs)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)
    assert process() == before


@pytest.mark.slow
def test_a_run_that_was_stopped_has_no_best_epoch(images: Path, tmp_path: Path) -> None:
    found = jaxnext.train(small_run.config(images), output=tmp_path / "r", say=lambda _: None, stop=lambda: True)
    assert found == (tmp_path / "r", None, ())


@pytest.mark.parametrize(
    ("config", "options", "sentence"),
    [
        (Config(), {}, "output: expected the folder of the run, found None"),
        ("fc", {"output": ""}, "output: expected the folder of the run, found ''"),
        ("fc", {"epoch": 3}, "unknown key epoch; did you mean epochs?"),
        ("fc", {"precision": "float64"}, "precision: float64 needs jax.config.update('jax_enable_x64', True) first"),
        (Path("none.yaml"), {}, "none.yaml: the config cannot be read (No such file or directory)"),
    ],
)
def test_mistakes(config: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        jaxnext.train(config, **options)
    assert str(error.value) == sentence


def test_a_folder_without_a_net(tmp_path: Path) -> None:
    with pytest.raises(JaxnextError, match=r"found no checkpoints/ in it$"):
        jaxnext.load_flax(tmp_path)
