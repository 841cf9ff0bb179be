import subprocess
import sys

import pytest

from jaxnext.errors import JaxnextError
from jaxnext.inference.sorting.lock import locked

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "wb")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".sorted.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(JaxnextError, match=f"^{tmp_path}: another process is sorting"), locked(tmp_path):
            pass
        process.kill()
    with locked(tmp_path):
        pass


def test_an_error_of_the_block_is_not_the_locks(tmp_path):
    with pytest.raises(BlockingIOError, match="mine"), locked(tmp_path):
        raise BlockingIOError("mine")
