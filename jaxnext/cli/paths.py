"""Paths that were given on the command line."""

import errno
import os
from pathlib import Path

from jaxnext.errors import UsageError


def path(option: str, text: str) -> Path:
    """Return a path that the system can look up, whether or not anything is there.

    Raises:
        UsageError: it is empty, too long or has a null character.
    """
    if not text:
        raise UsageError(f"{option}: expected a path, found an empty one")
    try:
        os.lstat(text)
    except ValueError:
        raise UsageError(f"{option}: expected a path, found one with a null character: {text[:80]!a}") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(
                f"{option}: expected a path that is not too long for the system, found {text[:80]}..."
            ) from None
    return Path(text)


def optional_path(option: str, text: str | None) -> Path | None:
    """Return ``path(option, text)``, or ``None`` where nothing was given."""
    return None if text is None else path(option, text)
