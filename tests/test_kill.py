"""A few of the kills of ``kill.py``."""

import subprocess
import sys

import kill
import pytest
import several_processes
from kill import Lived, lost


def test_what_a_kill_has_lost_is_what_is_done_again() -> None:
    before = Lived(9, 10.0, [(0, 1.0), (1, 2.0), (2, 4.0), (3, 7.0)])
    assert lost(before, Lived(0, 20.0, [(2, 12.0), (3, 13.0)])) == (2, 6.0)
    assert lost(before, Lived(0, 20.0, [(4, 12.0)])) == (0, 0.0)
    assert lost(before, Lived(9, 11.0)) == lost(Lived(9, 1.0), before) == (0, 0.0)


def test_every_phase_is_marked_by_something_that_is_there() -> None:
    for places in kill.PHASES.values():
        for place, name in places:
            assert callable(getattr(kill.found(place), name))


@pytest.mark.slow
def test_killed_anywhere_the_end_is_the_same() -> None:
    options = ["--kills", "12", "--seed", "0", "--settings", "plain", "--signals", *["KILL"] * 5, "USR2"]
    command = [sys.executable, str(several_processes.ROOT / "tests" / "kill.py"), *options]
    done = subprocess.run(
        command, env=several_processes.environment(), capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("12 kills of ")
    assert done.stdout.endswith("every run ended with the same bits as the one that nobody killed\n")
