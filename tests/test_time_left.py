import pytest

from jaxnext.training.time_left import time_left


@pytest.mark.parametrize(
    ("seconds", "epochs", "line"),
    [
        (60.0, 0, ""),
        (4.4, 10, "; about 44 s left"),
        (120.0, 6, "; about 12 min left"),
        (3600.0, 3, "; about 3.0 h left"),
    ],
)
def test_the_rest_takes_as_long_as_this_epoch(seconds: float, epochs: int, line: str) -> None:
    assert time_left(seconds, epochs) == line
