import io

import numpy as np
import pytest
from PIL import Image

from jaxnext.data.sources.digits import Source, digits_source
from jaxnext.data.splits import OpenContext
from jaxnext.errors import UsageError


def test_digits() -> None:
    source = digits_source()
    assert len(source) == len(source.names) == len(source.labels) == 1797
    assert source.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert source.names[0] == "digit_0000.png"
    assert source.names[-1] == "digit_1796.png"
    assert source.labels[:10].tolist() == list(range(10))
    assert source.labels.dtype == np.int32
    assert source.in_memory
    image = Image.open(io.BytesIO(source.read(0)))
    assert (image.mode, image.size) == ("L", (8, 8))
    # The first row of the first digit is 0 0 5 13 9 1 0 0 in sixteenths.
    assert np.array(image)[0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]


def test_digits_are_those_that_scikit_learn_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    from_file = digits_source()
    # Where the file is not found, scikit-learn is asked.
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    asked = digits_source()
    assert from_file.classes == asked.classes
    assert from_file.labels.tolist() == asked.labels.tolist()
    assert [from_file.read(i) for i in range(1797)] == [asked.read(i) for i in range(1797)]


def test_splits_of_digits() -> None:
    splits = Source().open(OpenContext())
    assert len(splits.train) + len(splits.validation) == 1797
    assert not set(splits.train.names) & set(splits.validation.names)
    assert splits.description == (
        f"digits: 1,797 images of 10 classes, {len(splits.train):,} for training and {len(splits.validation)} "
        "(20 % of each class, seed 0) for validation",
    )


def test_a_folder_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        Source().open(OpenContext("my images"))
    assert str(error.value) == (
        "data.path: expected no value, since data.source digits does not read it, found 'my images'; leave it out, or "
        "set --data.source folder"
    )
