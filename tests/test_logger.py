import math

import numpy as np
import pytest

from jaxnext.config.sections import LOGGERS
from jaxnext.errors import UsageError
from jaxnext.training import logger
from jaxnext.training.logger import as_floats, plain_text, scalars_of


def test_what_is_shown_of_a_record() -> None:
    record = {"epoch": 3, "train_loss": 1.0, "val_loss": 2.0, "train_accuracy": 0.1, "val_accuracy": 0.2} | {
        "learning_rate": 0.5,
        "images_per_second": 9.0,
        "data_wait_fraction": 0.25,
        "seconds": 7.0,
    }
    assert scalars_of(record) == {
        "loss/train": 1.0,
        "loss/val": 2.0,
        "accuracy/train": 0.1,
        "accuracy/val": 0.2,
        "learning_rate": 0.5,
        "images_per_second": 9.0,
        "data_wait_fraction": 0.25,
        "seconds": 7.0,
    }


@pytest.mark.parametrize("name", LOGGERS.names())
def test_a_missing_library_is_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> None:
        raise ImportError(f"No module\nnamed {module!r}")

    chosen = LOGGERS.choose(name).build()
    monkeypatch.setattr(logger.importlib, "import_module", missing)
    with pytest.raises(UsageError) as error:
        chosen.check()
    begin = f"logger {name}: expected the library "
    assert str(error.value).startswith(begin)
    assert f"; pip install 'jaxnext[{name}]' (No module named " in str(error.value)


def test_settings_as_libraries_take_them() -> None:
    values = {"a": 1, "b": True, "c": None, "d": (1, 2), "e": {0: 8}}
    assert [plain_text(value) for value in values.values()] == [1, True, "null", "(1, 2)", "{0: 8}"]


def test_histograms_have_finite_values() -> None:
    assert as_floats(np.array([[1, math.nan], [math.inf, 2]], np.float32)).tolist() == [1, 2]
