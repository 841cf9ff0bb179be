import dataclasses

import small_run

from jaxnext.training.environment import RunEnvironment


def test_only_devices_clock_stop_and_say_have_to_be_given():
    required = [f.name for f in dataclasses.fields(RunEnvironment) if f.default is f.default_factory]
    assert required == ["devices", "clock", "stop", "say"]


def test_the_tests_surroundings_tick_without_a_clock():
    around = small_run.env()
    assert [around.clock(), around.clock(), around.clock()] == [0, 0.125, 0.25]
    assert not around.stop()
