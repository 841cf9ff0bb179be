"""Images that cannot be read or decoded."""

import errno
from typing import NamedTuple

from jaxnext.errors import JaxnextError, visible

_OF_THE_FILE = {None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP}
"""Numbers of errors that come again whenever the file is read; records of packed data sets have none."""


class CorruptImage(JaxnextError):
    """A file is not an image that can be decoded. The message is the short reason, without the file's name."""


class TooManyPixels(CorruptImage):
    """An image whose header says that it has more pixels than may be decoded."""


class BadImage(NamedTuple):
    """An image that cannot be read or decoded."""

    name: str
    """full path of a file"""
    reason: str

    def __str__(self) -> str:
        """What the user is told of it."""
        return f"{visible(self.name)}: the image cannot be read ({self.reason})"


def bad_image(name: str, error: CorruptImage | OSError) -> BadImage:
    """Return the image with the short reason why it cannot be decoded, or why its file cannot be read.

    Raises:
        JaxnextError: too many open files, or a disk or network that fails: going on would leave good images out.
    """
    if isinstance(error, OSError) and error.errno not in _OF_THE_FILE:
        raise JaxnextError(
            f"{name}: reading has failed ({error.strerror}), for no fault of the image; put that right and start again"
        ) from error
    return BadImage(name, (isinstance(error, OSError) and error.strerror) or str(error))
