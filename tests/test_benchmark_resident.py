import sys

import numpy as np
import pytest
from benchmarks import resident

MIB = 2**20
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak is Linux's")


@on_linux
def test_what_was_freed_before_the_end_counts_and_what_was_there_before_does_not() -> None:
    there = np.ones(100 * MIB, np.uint8)

    def call() -> None:
        for _ in range(3):
            np.ones(64 * MIB, np.uint8)

    # The system counts in batches of pages for each thread.
    assert 60 * MIB <= (resident.peak_of(call) or 0) < 80 * MIB
    assert there.size == 100 * MIB


# In pieces below the size for which the C library asks the system anew, so that it keeps them.
@on_linux
def test_memory_that_the_c_library_kept_counts_again() -> None:
    def call() -> None:
        pieces = [np.ones(64 * 1024, np.uint8) for _ in range(1024)]
        assert len(pieces) == 1024

    for _ in range(3):
        assert 60 * MIB <= (resident.peak_of(call) or 0) < 80 * MIB


@on_linux
def test_a_call_that_takes_nothing() -> None:
    assert (resident.peak_of(lambda: None) or 0) < MIB


def test_a_system_that_does_not_count(tmp_path) -> None:
    assert resident.peak_of(lambda: None, tmp_path / "none") is None


def test_an_error_of_the_call_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        resident.peak_of(lambda: 1 / 0)
