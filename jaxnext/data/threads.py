"""Calls in threads, their results in order."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class Stopped(Exception):
    """Somebody has asked to stop."""


def in_order(
    calls: Iterable[Callable[[], Result]], threads: int, stop: Callable[[], bool] = lambda: False
) -> Iterator[Result]:
    """Yield the results of calls that threads make, in order; a few calls ahead, so that memory stays as it is.

    Args:
        calls: without arguments.
        threads: that make them.
        stop: whether to give up; asked before each call is handed to the threads, and before each wait for the last.

    Raises:
        Stopped: asked to stop.
        Exception: what a call raised, in its place.
    """
    waiting: collections.deque[Future[Result]] = collections.deque()
    with ThreadPoolExecutor(threads) as executor:
        for call in calls:
            if stop():
                raise Stopped
            waiting.append(executor.submit(call))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            if stop():
                raise Stopped
            yield waiting.popleft().result()
