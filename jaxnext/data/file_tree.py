"""A folder of files and folders, wherever it is kept: on disk or in an archive."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.image_source import ImageSource


class FileSource(ImageSource, Protocol):
    """Images that are files."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Hidden entries and files that are not images, by their path; a folder ends in a slash."""
        ...


class FileTree(Protocol):
    """A folder, and what lies below it."""

    @property
    def path(self) -> Path:
        """Where it is, for messages; in an archive the archive's path and that of the folder in it."""
        ...

    def list_folder(self) -> tuple[list[str], list[str], list[str]]:
        """Names in the folder: folders, files, and hidden ones of both kinds (folders among these with a slash)."""
        ...

    def list_images(self, under: str = "") -> tuple[list[str], list[str]]:
        """Return the images below a folder, sorted, and what was left out, as paths relative to the tree."""
        ...

    def below(self, name: str) -> "FileTree":
        """Return the tree of a folder in this one."""
        ...

    def source(
        self, names: Sequence[str], labels: NDArray[np.int32], classes: Sequence[str], left_out: Sequence[str] = ()
    ) -> FileSource:
        """Return some of the images.

        Args:
            names: their paths relative to the tree.
            labels: int32 ``[n]``, indices into ``classes`` or -1.
            classes: class names.
            left_out: what is no image.
        """
        ...

    def keep(self) -> list[str]:
        """Keep the listing for the next start; return lines for the user: what is unusual, or could not be kept."""
        ...
