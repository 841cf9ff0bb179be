import pytest

from jaxnext.errors import UsageError
from jaxnext.inference.threshold import answer, check_threshold


@pytest.mark.parametrize(
    ("probability", "threshold", "label"),
    [(0.3, None, "cat"), (0.5, 0.5, "cat"), (0.49, 0.5, "unknown"), (1.0, 1.0, "cat")],
)
def test_answers(probability: float, threshold: float | None, label: str) -> None:
    assert answer("cat", probability, threshold) == label


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan")])
def test_no_probability(threshold: float) -> None:
    with pytest.raises(UsageError, match="--threshold: expected a probability above 0 and at most 1, found"):
        check_threshold(threshold, ["cat"])


def test_a_class_named_unknown() -> None:
    check_threshold(0.5, ["cat", "Unknown"])
    with pytest.raises(UsageError, match="found one of this name"):
        check_threshold(0.5, ["cat", "unknown"])
