"""Rules for square images."""

from jaxnext.data.pixels import Pixels


def square(size: int) -> Pixels:
    """All else as in a new run."""
    return Pixels((size, size))


def original(size: int) -> Pixels:
    """All else as the original project has it, and earlier versions had."""
    return Pixels((size, size), orientation="stored", depth="clip", background="ignore")
