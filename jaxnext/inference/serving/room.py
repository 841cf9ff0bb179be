"""What there is once, and requests share: bytes of memory, places in a queue."""

from jaxnext.inference.serving.refusal import Refusal


class Room:
    """Counts what is taken of something."""

    def __init__(self, size: int, sentence: str) -> None:
        """Make it empty.

        Args:
            size: of it.
            sentence: for those who find it full.
        """
        self._size, self._sentence, self.taken = size, sentence, 0

    def share(self) -> "Share":
        """Return a part of it that is nothing yet, and is given back when the block ends."""
        return Share(self)

    def take(self, amount: int) -> None:
        """Take so much.

        Raises:
            Refusal: there is not so much left.
        """
        if self.taken + amount > self._size:
            raise Refusal(503, self._sentence, retry_after=1)
        self.taken += amount

    def give_back(self, amount: int) -> None:
        """Give so much back."""
        self.taken -= amount


class Share:
    """What one request has taken of a ``Room``."""

    def __init__(self, room: Room) -> None:
        self._room, self._own = room, 0

    def take(self, amount: int) -> None:
        """Take so much more; errors as ``Room.take``."""
        self._room.take(amount)
        self._own += amount

    def give_back(self) -> None:
        """Give all of it back."""
        self._room.give_back(self._own)
        self._own = 0

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *details: object) -> None:
        self.give_back()
