import json
from pathlib import Path

import numpy as np
import pytest

from jaxnext.engine.digests import digest_of
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.calibration import (
    Calibration,
    check_seen,
    check_temperature,
    read_calibration,
    write_calibration,
)

WEIGHTS = {"params": {"head": {"kernel": np.ones((2, 3), np.float32)}}}


def calibration(temperature: float = 1.5, **others) -> Calibration:
    values = {"images": 7, "log_loss": (0.5, 0.4), "ece": (0.2, 0.1), "weights": digest_of(WEIGHTS)}
    return Calibration(temperature=temperature, **(values | others))


def test_written_is_read(tmp_path: Path) -> None:
    found = calibration(threshold=0.7, accuracy=0.9, coverage=0.5, energy={"auroc": 0.8}, image_size=[32, 48])
    assert write_calibration(tmp_path, "best", found) == tmp_path / "calibration.json"
    write_calibration(tmp_path, "last", calibration(2.0))
    assert read_calibration(tmp_path, "best", WEIGHTS) == found
    assert read_calibration(tmp_path, "last", WEIGHTS).temperature == 2
    write_calibration(tmp_path, "best", calibration(3.0))
    assert read_calibration(tmp_path, "best", WEIGHTS).temperature == 3
    assert [file.name for file in tmp_path.iterdir()] == ["calibration.json"]


def test_other_weights_are_noticed(tmp_path: Path) -> None:
    write_calibration(tmp_path, "best", calibration())
    other = {"params": {"head": {"kernel": np.nextafter(WEIGHTS["params"]["head"]["kernel"], 2)}}}
    with pytest.raises(JaxnextError) as error:
        read_calibration(tmp_path, "best", other)
    assert str(error.value) == (
        f"{tmp_path}/calibration.json: expected what was fitted to the weights of best, found others; run jaxnext "
        f"calibrate {tmp_path}"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "expected what was fitted to last, found nothing; run jaxnext calibrate {} --which last"),
        ("{", "the file cannot be read (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
        ('{"format": 2}', "expected format 1 of what jaxnext calibrate writes, found another"),
        ("[]", "expected format 1 of what jaxnext calibrate writes, found another"),
        ('{"format": 1}', "expected what was fitted to last, found nothing; run jaxnext calibrate {} --which last"),
        ('{"format": 1, "last": {}}', "expected what jaxnext calibrate writes, found other keys ('log_loss')"),
    ],
)
def test_mistakes(tmp_path: Path, text: str | None, sentence: str) -> None:
    if text is not None:
        (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(JaxnextError) as error:
        read_calibration(tmp_path, "last", WEIGHTS)
    assert str(error.value) == f"{tmp_path}/calibration.json: " + sentence.format(tmp_path)


def test_a_file_of_another_kind_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text(json.dumps({"mine": 1}))
    with pytest.raises(JaxnextError, match="expected format 1"):
        write_calibration(tmp_path, "best", calibration())
    assert json.loads((tmp_path / "calibration.json").read_text()) == {"mine": 1}


def test_images_that_were_seen_otherwise() -> None:
    found = calibration(tta={"type": "flips"}, image_size=[32, 48])
    check_seen(found, {"type": "flips"}, (32, 48), Path("run"))
    with pytest.raises(UsageError, match='expected to be fitted with --tta "none", found "flips"'):
        check_seen(found, {"type": "none"}, (32, 48), Path("run"))
    with pytest.raises(UsageError, match=r"expected to be fitted with --image_size null, found \[32, 48\]"):
        check_seen(found, {"type": "flips"}, None, Path("run"))


@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), float("nan"), "warm"])
def test_no_temperature(temperature: object) -> None:
    with pytest.raises(UsageError, match="temperature: expected calibrated or a number above 0, found"):
        check_temperature(temperature)
