import threading
import time

import jax.numpy as jnp
import pytest

from jaxnext.errors import JaxnextError
from jaxnext.training import processes
from jaxnext.training.processes import Fingerprint, Processes


class Memory:
    """The keys and values of JAX's coordination service, in this process; of the same kind are its errors."""

    def __init__(self, count: int = 2) -> None:
        self.values: dict[str, str] = {}
        self.count, self.barriers = count, dict[str, threading.Barrier]()
        self.changed = threading.Condition()

    def key_value_set(self, key: str, value: str, allow_overwrite: bool = False) -> None:
        with self.changed:
            if key in self.values and not allow_overwrite:
                raise RuntimeError(f"ALREADY_EXISTS: {key}")
            self.values[key] = value
            self.changed.notify_all()

    def key_value_dir_get(self, key: str) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.values.items() if name.startswith(key)]

    def key_value_try_get(self, key: str) -> str:
        if key not in self.values:
            raise RuntimeError(f"NOT_FOUND: {key}")
        return self.values[key]

    def blocking_key_value_get(self, key: str, timeout_in_ms: int) -> str:
        with self.changed:
            if not self.changed.wait_for(lambda: key in self.values, timeout_in_ms / 1000):
                raise RuntimeError(f"DEADLINE_EXCEEDED: GetKeyValue() timed out with key: {key}\nmore")
            return self.values[key]

    def wait_at_barrier(self, barrier_id: str, timeout_in_ms: int) -> None:
        with self.changed:
            barrier = self.barriers.setdefault(barrier_id, threading.Barrier(self.count))
        try:
            barrier.wait(timeout_in_ms / 1000)
        except threading.BrokenBarrierError as error:
            raise RuntimeError(f"DEADLINE_EXCEEDED: {barrier_id} [type.googleapis.com/x]") from error


def both(store: Memory, first: list[Fingerprint], second: list[Fingerprint]) -> list[str]:
    """What two processes raise when they compare their fingerprints."""
    raised = []

    def assert_equal(index: int, fingerprints: list[Fingerprint]) -> None:
        try:
            Processes(index, 2, store).assert_equal(fingerprints)
        except JaxnextError as error:
            raised.append(str(error))

    threads = [threading.Thread(target=assert_equal, args=pair) for pair in ((0, first), (1, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_alone_it_waits_for_nobody() -> None:
    alone = Processes()
    assert (alone.first, alone.count) == (True, 1)
    alone.barrier()
    alone.assert_equal([Fingerprint("a", "1", "b")])


def test_note_takes_the_wish_to_stop_out_of_the_sums_and_keeps_it() -> None:
    one = Processes(1, 2)
    assert not one.first
    assert one.note({"count": 3}) == {"count": 3}
    assert one.note({"count": 3, "stop": jnp.int32(0)}) == {"count": 3}
    assert not one.stopping
    sums = {"count": 3, "stop": jnp.int32(2)}
    assert one.note(sums) == {"count": 3}
    assert one.stopping
    assert "stop" in sums
    one.note({"stop": jnp.int32(0)})
    assert one.stopping


def test_rendezvous_come_one_after_the_other() -> None:
    store, arrived = Memory(), []

    def late() -> None:
        other = Processes(1, 2, store)
        for _ in range(2):
            time.sleep(0.1)
            arrived.append(1)
            other.barrier()

    thread = threading.Thread(target=late)
    thread.start()
    one = Processes(0, 2, store)
    for count in (1, 2):
        one.barrier()
        assert len(arrived) >= count
    thread.join()
    assert len(store.barriers) == 2


def test_texts_are_gathered_in_the_order_of_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PART", 4)
    store, found = Memory(), {}

    def both_times(index: int) -> None:
        one = Processes(index, 2, store)
        found[index] = [one.allgather(text) for text in (("long \udcff text", ""), ("x", "y" * 8))[index]]

    threads = [threading.Thread(target=both_times, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == [["long \udcff text", "x"], ["", "yyyyyyyy"]]
    assert max(map(len, store.values.values())) == 4
    assert Processes().allgather("alone") == ["alone"]


def test_a_text_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.1)
    with pytest.raises(
        JaxnextError, match=r"^waited for process 1 in vain \(DEADLINE_EXCEEDED: .*/allgather/1/1/parts\)"
    ):
        Processes(0, 2, Memory()).allgather("")


def test_what_is_posted_is_read_once_by_each_of_the_others() -> None:
    store = Memory(3)
    one, two, three = (Processes(index, 3, store) for index in range(3))
    assert one.posted("a") == []
    two.post("a", "x")
    three.post("a", "y")
    two.post("a", "z")
    two.post("b", "else")
    assert one.posted("a") == ["x", "z", "y"]
    assert one.posted("a") == []
    three.post("a", "w")
    assert one.posted("a") == ["w"]
    assert two.posted("a") == ["y", "w"]
    alone = Processes()
    alone.post("a", "x")
    assert alone.posted("a") == []


def test_equal_fingerprints() -> None:
    fingerprints = [Fingerprint("seed", "1", "same"), Fingerprint("data", "96", "see")]
    assert both(Memory(), fingerprints, fingerprints) == []


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ([Fingerprint("seed", "1", "x"), Fingerprint("data", "95", "see")], "data: expected 96, found 95; see"),
        ([Fingerprint("seed", "2", "same"), Fingerprint("data", "95", "see")], "seed: expected 1, found 2; same"),
        ([Fingerprint("seed", "1", "x")], "data: expected 96, found nothing; start all processes in the same way"),
        (
            [Fingerprint("seed", "1", "x"), Fingerprint("data", "96", "x"), Fingerprint("more", "5", "do")],
            "more: expected nothing, found 5; do",
        ),
    ],
)
def test_the_first_difference_is_named_and_the_first_process_waits(
    second: list[Fingerprint], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.3)
    raised = both(Memory(), [Fingerprint("seed", "1", "x"), Fingerprint("data", "96", "x")], second)
    assert raised == [
        f"process 1 differs from process 0 in {sentence}",
        "waited for the other processes in vain (DEADLINE_EXCEEDED: jaxnext/barrier/1); "
        "start all again with --resume auto",
    ]


def test_a_first_process_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.1)
    with pytest.raises(
        JaxnextError, match=r"^waited for process 0 in vain \(DEADLINE_EXCEEDED: .*jaxnext/fingerprints\);"
    ):
        Processes(1, 2, Memory()).assert_equal([])
