import dataclasses

import pytest
import small_run

from jaxnext.training.environment import Console, Folders, Host, RunEnvironment
from jaxnext.training.processes import Processes


def required(section: type) -> list[str]:
    return [field.name for field in dataclasses.fields(section) if field.default is field.default_factory]


def test_only_devices_clock_and_say_have_to_be_given():
    assert required(RunEnvironment) == ["host", "console"]
    assert (required(Host), required(Console), required(Folders)) == (["devices", "clock"], ["say"], [])


def test_the_environment_of_the_tests_ticks_without_a_clock():
    env = small_run.run_env()
    assert [env.host.clock(), env.host.clock(), env.host.clock()] == [0, 0.125, 0.25]
    assert not env.stop()


@pytest.mark.parametrize(
    ("first", "warns", "said", "warned"), [(True, True, [], ["a"]), (True, False, ["a"], []), (False, True, [], [])]
)
def test_the_first_process_warns(first: bool, warns: bool, said: list[str], warned: list[str]) -> None:
    lines: tuple[list[str], list[str]] = ([], [])
    console = Console(lines[0].append, lines[1].append if warns else None)
    env = RunEnvironment(Host([], lambda: 0.0), console, processes=Processes(0 if first else 1, 2))
    env.warn("a")
    assert lines == (said, warned)
