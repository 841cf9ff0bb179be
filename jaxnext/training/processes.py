"""The processes of one run, each with its own devices: what must be equal in all, and where they wait for each other.

All of them compute the same steps; only the first one writes into the run's folder and speaks. They share the folder of
the run: each reads the checkpoint for itself.
"""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from jaxnext.errors import JaxnextError

PATIENCE = 7 * 24 * 3600
"""Seconds to wait for a process that is alive: it may list or verify images, or write a checkpoint, for long. The
coordination service notices one that is not."""

_PART = 2**20
"""Letters of a value: a message of the coordination service may have 4 MB, and a letter up to 4 bytes."""


class Store(Protocol):
    """What is used of the client of JAX's coordination service. Where a call fails, it raises a ``RuntimeError``."""

    def key_value_set(self, key: str, value: str, allow_overwrite: bool = False) -> None:
        """Keep a value for all processes to see; one that is there already is an error unless it may be."""
        ...

    def key_value_dir_get(self, key: str) -> list[tuple[str, str]]:
        """Return the keys and values whose keys begin so."""
        ...

    def key_value_try_get(self, key: str) -> str:
        """Return the value; an error where there is none yet."""
        ...

    def blocking_key_value_get(self, key: str, timeout_in_ms: int) -> str:
        """Return the value, waited for."""
        ...

    def wait_at_barrier(self, barrier_id: str, timeout_in_ms: int) -> None:
        """Return when every process has come here."""
        ...


class Fingerprint(NamedTuple):
    """Something that every process of a run must have found alike."""

    name: str
    value: str
    remedy: str
    """what the user can do where it is not alike"""


@dataclasses.dataclass
class Processes:
    """This process among those of its run; by default there is no other."""

    index: int = 0
    count: int = 1
    store: Store | None = None
    """``None`` where there is one process"""
    stopping: bool = False
    """whether any of several processes was asked to stop, known to all after the same step"""
    _rendezvous: int = 0
    _posts: dict[str, int] = dataclasses.field(default_factory=dict)
    """by topic, the number of the last own post; by topic and process, posts that were read"""

    @property
    def first(self) -> bool:
        """Return whether this is the process that writes and speaks."""
        return self.index == 0

    def note(self, sums: dict[str, Any]) -> dict[str, Any]:
        """Return a step's metric sums without ``stop``, the number of devices whose process was asked to stop."""
        if "stop" in sums:
            sums = dict(sums)
            self.stopping |= bool(sums.pop("stop"))
        return sums

    def barrier(self) -> None:
        """Wait for all processes, as long as they live.

        Called before the first collective operation, which on CPUs fails after 30 seconds, and while one writes.

        Raises:
            JaxnextError: one did not come.
        """
        if self.store is None:
            return
        self._rendezvous += 1
        try:
            self.store.wait_at_barrier(f"jaxnext/barrier/{self._rendezvous}", PATIENCE * 1000)
        except RuntimeError as error:
            raise _missed(error, "the other processes") from error

    def allgather(self, text: str) -> list[str]:
        """Return the texts of all processes, the first one's first. All must call it, in one order; it waits for them.

        Raises:
            JaxnextError: one did not come.
        """
        if self.store is None:
            return [text]
        self._rendezvous += 1
        key = f"jaxnext/allgather/{self._rendezvous}"
        parts = [text[i : i + _PART] for i in range(0, len(text), _PART)]
        for number, part in enumerate(parts):
            self.store.key_value_set(f"{key}/{self.index}/part/{number}", part)
        self.store.key_value_set(f"{key}/{self.index}/parts", str(len(parts)))

        def get(name: str, store: Store = self.store) -> str:
            return store.blocking_key_value_get(f"{key}/{name}", PATIENCE * 1000)

        texts = []
        for index in range(self.count):
            try:
                texts.append("".join(get(f"{index}/part/{n}") for n in range(int(get(f"{index}/parts")))))
            except RuntimeError as error:
                raise _missed(error, f"process {index}") from error
        return texts

    def post(self, topic: str, text: str) -> None:
        """Leave a text for others to read with ``posted``; nobody is waited for."""
        if self.store is not None:
            number = self._posts[topic] = self._posts.get(topic, -1) + 1
            self.store.key_value_set(f"jaxnext/post/{topic}/{self.index}/{number}", text)

    def posted(self, topic: str) -> list[str]:
        """Return the texts that other processes have posted so far and that were not returned before."""
        found = []
        for index in range(self.count if self.store is not None else 0):
            while index != self.index and (text := self._next_post(f"{topic}/{index}")) is not None:
                found.append(text)
        return found

    def _next_post(self, place: str) -> str | None:
        number = self._posts.get(place, 0)
        try:
            text = None if self.store is None else self.store.key_value_try_get(f"jaxnext/post/{place}/{number}")
        except RuntimeError:
            # There is none yet.
            return None
        self._posts[place] = number + 1
        return text

    def assert_equal(self, fingerprints: Iterable[Fingerprint]) -> None:
        """Compare with the first process, once in a run, and wait until all have.

        Raises:
            JaxnextError: this process has found something else; the first difference is named.
        """
        if self.store is None:
            return
        own = {each.name: each for each in fingerprints}
        if self.first:
            self.store.key_value_set(
                "jaxnext/fingerprints", json.dumps({name: each.value for name, each in own.items()})
            )
        else:
            try:
                expected = json.loads(self.store.blocking_key_value_get("jaxnext/fingerprints", PATIENCE * 1000))
            except RuntimeError as error:
                raise _missed(error, "process 0") from error
            for name in own | expected:
                self._compare(name, own.get(name), expected.get(name))
        self.barrier()

    def _compare(self, name: str, own: Fingerprint | None, expected: str | None) -> None:
        found, remedy = (own.value, own.remedy) if own else ("nothing", "start all processes in the same way")
        if own is None or found != expected:
            raise JaxnextError(
                f"process {self.index} differs from process 0 in {name}: expected {expected or 'nothing'}, "
                f"found {found}; {remedy}"
            )


def _missed(error: RuntimeError, who: str) -> JaxnextError:
    reason = str(error).partition("\n")[0].partition(" [type.googleapis.com")[0]
    return JaxnextError(f"waited for {who} in vain ({reason}); start all again with --resume auto")
