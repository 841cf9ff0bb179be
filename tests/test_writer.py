import threading

import pytest

from jaxnext.errors import JaxnextError
from jaxnext.training.writer import Writer


def refuse() -> None:
    raise JaxnextError("the disk is full")


def test_it_writes_beside_one_after_the_other() -> None:
    go, done = threading.Event(), []
    writer = Writer()

    def late() -> None:
        go.wait(10)
        done.append(1)

    writer.start(late)
    assert writer.busy
    assert done == []
    go.set()
    writer.start(lambda: done.append(2))
    assert done[0] == 1
    writer.wait()
    assert (done, writer.busy) == ([1, 2], False)


def test_what_fails_is_raised_once_where_it_is_asked_for() -> None:
    writer = Writer()
    writer.start(refuse)
    writer.close()
    with pytest.raises(JaxnextError, match=r"^the disk is full$"):
        writer.check()
    writer.check()
    for ask in (writer.wait, lambda: writer.start(lambda: None)):
        writer.start(refuse)
        with pytest.raises(JaxnextError):
            ask()


def test_closed_it_leaves_no_thread_and_raises_nothing() -> None:
    before = threading.active_count()
    writer = Writer()
    writer.start(refuse)
    writer.close()
    writer.close()
    assert threading.active_count() == before
