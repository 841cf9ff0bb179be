"""Test-time augmentation, one way of seeing an image several times a file.

A net is asked about every view of an image, and the mean of the probabilities is its answer.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from jaxnext.config.choice import NONE, Alternatives
from jaxnext.errors import UsageError

if TYPE_CHECKING:
    import jax

TTA = Alternatives("tta", "inference.tta", "Views", optional=True, light=True)

NO_TTA = TTA.choose(NONE)
"""Every image is seen once, as it is."""


class Views(Protocol):
    """What each file's frozen dataclass ``Views`` offers; its fields are the options."""

    def views(self, images: "jax.Array") -> "Sequence[jax.Array]":
        """Return the views of images, on the device.

        Args:
            images: uint8 ``[B, H, W, 3]``, as the net was to see them, not yet normalised.

        Returns:
            for each view uint8 ``[B, h, w, 3]``; those of one size share a compiled program. Each row is made of the
            same row of ``images`` alone.
        """
        ...


def views_of(tta: str | Mapping[str, Any]) -> Views | None:
    """Return the views that a name, or a mapping of ``type`` and options, chooses; ``None`` for ``none``.

    Raises:
        UsageError: there is no such name or option, or a value that is not right.
    """
    options: dict[str, Any] = {"type": tta} if isinstance(tta, str) else dict(tta)
    try:
        return TTA.choose(options.pop("type", NONE), **options).build()
    except ValueError as error:
        raise UsageError(str(error)) from error
