from rates import rates

from jaxnext.engine.schedule import Length
from jaxnext.engine.schedules.constant import Schedule


def test_every_step_has_the_optimizers_rate() -> None:
    assert rates(Schedule(), 0.3, Length(2, 3)) == [0.3] * 6
