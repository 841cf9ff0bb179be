import dataclasses

from jaxnext.inference.serving.limits import Limits


def test_the_limits_that_stand_without_options() -> None:
    assert dataclasses.asdict(Limits()) == {
        "max_bytes": 33_554_432,
        "max_pixels": 50_000_000,
        "max_files": 32,
        "queue": 512,
        "waiting_bytes": 536_870_912,
        "rate": None,
        "body_seconds": 20.0,
    }
