"""A thread that writes while training goes on."""

import threading
from collections.abc import Callable


class Writer:
    """Writes one thing at a time. What fails is raised in the thread that asks for it, at its next call."""

    def __init__(self) -> None:
        """Begin with no thread."""
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being written."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, write: Callable[[], None]) -> None:
        """Have something written, after what is being written.

        Args:
            write: does it; it alone may use what it refers to.

        Raises:
            BaseException: what the write before has raised.
        """
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(write,), name="checkpoint writer")
        self._thread.start()

    def check(self) -> None:
        """Raise what the last write has raised, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def wait(self) -> None:
        """Wait until all is written; errors as ``check``."""
        self.close()
        self.check()

    def close(self) -> None:
        """Wait until all is written, and leave no thread."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, write: Callable[[], None]) -> None:
        try:
            write()
        except BaseException as error:
            self._error = error
