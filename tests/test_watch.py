"""Signs of life in a store of this process; ``test_distributed`` has real processes that die."""

import signal
import threading
import time
from typing import Any

import pytest
from ends import Left
from test_processes import Memory

from jaxnext.cli import watch as cli_watch
from jaxnext.cli.watch import Watch
from jaxnext.training.processes import Processes


def until(condition: Any) -> bool:
    """Whether it holds within some seconds."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


class Living(threading.Thread):
    """Gives signs of life for a process, as long as it is not stopped."""

    def __init__(self, store: Memory, index: int) -> None:
        super().__init__(daemon=True)
        self.store, self.index, self.over, self.frozen = store, index, threading.Event(), False
        self.start()

    def run(self) -> None:
        number = 0
        while not self.over.wait(0.05):
            number += 1
            if not self.frozen:
                self.store.key_value_set(f"jaxnext/alive/{self.index}", str(number), allow_overwrite=True)


@pytest.fixture
def store() -> Memory:
    return Memory(3)


@pytest.fixture
def other(store: Memory) -> Any:
    """The second of two processes."""
    living = Living(store, 1)
    yield living
    living.over.set()


dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@dies
def test_the_failure_of_another_ends_this_one_wherever_it_is(store: Memory, ended: list[Any], capsys: Any) -> None:
    store.key_value_set("jaxnext/failed", "process 0 has ended: no disk")
    Watch(Processes(1, 2, store))
    assert until(lambda: ended)
    assert ended == [("watch-other-processes", 1)]
    assert capsys.readouterr().err == "error: process 0 has ended: no disk\n"
    assert store.values["jaxnext/left/1"] == "yes"


def test_where_both_fail_each_says_its_own_and_the_first_is_kept(store: Memory, ended: list[Any], capsys: Any) -> None:
    store.key_value_set("jaxnext/failed", "process 0 has ended: nan")
    watch = Watch(Processes(1, 2))
    watch.processes.store = store
    watch.tell("infinite")
    assert store.values["jaxnext/failed"] == "process 0 has ended: nan"
    watch.start()
    time.sleep(0.2)
    watch.close()
    assert (ended, capsys.readouterr().err) == ([], "")


def test_the_first_process_leaves_last(store: Memory, ended: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(Processes(0, 3))
    watch.processes.store = store
    store.key_value_set("jaxnext/left/1", "yes")
    threading.Timer(0.2, store.key_value_set, ["jaxnext/left/2", "yes"]).start()
    monkeypatch.setattr(cli_watch, "_FAREWELL_SECONDS", 60)
    with pytest.raises(Left):
        watch.leave(1)
    assert list(store.values) == ["jaxnext/left/1", "jaxnext/left/2", "jaxnext/left/0"]
    monkeypatch.setattr(cli_watch, "_FAREWELL_SECONDS", 0.5)
    del store.values["jaxnext/left/2"], store.values["jaxnext/left/0"]
    with pytest.raises(Left):
        watch.leave(1)  # Killed, another never says that it leaves.
    assert ended == [("MainThread", 1)] * 2


@dies
def test_one_that_falls_silent_is_named_and_ends_the_others(
    store: Memory, other: Living, ended: list[Any], capsys: Any
) -> None:
    watch = Watch(Processes(0, 2, store))
    time.sleep(1.3)
    assert ended == []
    other.frozen = True
    begun = time.monotonic()
    assert watch.named() == "process 1 gives no sign of life"
    assert time.monotonic() - begun < 0.5
    assert until(lambda: ended)
    assert time.monotonic() - begun > 0.9
    sentence = "process 1 has given no sign of life for 1 s; start all again with --resume auto"
    assert capsys.readouterr().err == f"error: {sentence}\n"
    assert store.values["jaxnext/failed"] == sentence


def test_where_all_live_nobody_is_named(store: Memory, other: Living, ended: list[Any]) -> None:
    watch = Watch(Processes(0, 2, store))
    assert watch.named() == ""
    watch.close()
    assert ended == []


def test_a_store_that_does_not_answer_holds_nobody(ended: list[Any], capsys: Any) -> None:
    class Frozen(Memory):
        def key_value_set(self, key: str, value: str, allow_overwrite: bool = False) -> None:
            time.sleep(3)

    watch = Watch(Processes(1, 2))
    watch.processes.store = Frozen()
    begun = time.monotonic()
    with pytest.raises(Left):
        watch.lost_first()
    assert time.monotonic() - begun < 1
    assert capsys.readouterr().err == "error: process 0 has ended without a word; start all again with --resume auto\n"
    assert ended == [("MainThread", 1)]


def paused(watch: Watch, seconds: float) -> None:
    """As if this process had not run for so long."""
    watch._looked -= seconds
    for index in watch._heard:
        watch._heard[index] -= seconds


def test_its_own_pause_is_not_the_silence_of_others(store: Memory, ended: list[Any]) -> None:
    watch = Watch(Processes(0, 2))
    watch.processes.store = store
    paused(watch, 40)
    assert watch._silent() is not None
    watch._notice_pause()
    assert watch._silent() is None


@dies
def test_one_that_was_frozen_is_held_until_it_hears_from_all_others(
    store: Memory, other: Living, ended: list[Any], capsys: Any
) -> None:
    watch = Watch(Processes(0, 2, store))
    before = signal.signal(signal.SIGCONT, watch.hold)
    try:
        assert until(lambda: watch._numbers[1] not in ("", "1"))
        watch.hold()  # It was not frozen.
        # The watching thread may notice the pause first: then it is held, by SIGCONT, before the line that asks for it.
        begun = time.monotonic()
        paused(watch, 0.6)
        watch.hold()
        # One sign of life may have been on its way.
        assert time.monotonic() - begun > 0.05
        assert (ended, watch._awaited) == ([], {})

        other.frozen = True
        threading.Timer(3, watch._over.set).start()
        begun = time.monotonic()
        paused(watch, 0.6)
        watch.hold()
        assert time.monotonic() - begun > 2.5
        assert ended == [("watch-other-processes", 1)]
        assert "process 1 has given no sign of life" in capsys.readouterr().err
    finally:
        signal.signal(signal.SIGCONT, before)
