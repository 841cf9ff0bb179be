"""Several sources as one."""

from collections.abc import Sequence

import numpy as np

from jaxnext.data.image_source import ImageSource, label_numbers


class JoinedSource:
    """The images of several sources, sorted by class; those of one class source after source, each in its order."""

    def __init__(self, sources: Sequence[ImageSource], classes: Sequence[str] | None = None) -> None:
        """Args: sources of whatever classes; the classes of all in their order, ``None``: sorted as strings."""
        self.sources = tuple(sources)
        names = [source.classes for source in sources]
        self.classes = tuple(sorted(set().union(*names))) if classes is None else tuple(classes)
        # The last is for -1, images without a label.
        renumber = [np.append(label_numbers(each, self.classes), np.int32(-1)) for each in names]
        labels = np.concatenate([new[source.labels] for new, source in zip(renumber, sources, strict=True)])
        order = np.argsort(labels, kind="stable")
        sizes = [len(source) for source in sources]
        places = [np.stack([np.full(n, i), np.arange(n)], 1) for i, n in enumerate(sizes)]
        self.places = np.concatenate(places)[order]
        """``[n, 2]``: source of each image, and its number there"""
        self.labels = labels[order]
        self.names = tuple(sources[source].names[i] for source, i in self.places.tolist())

    @property
    def in_memory(self) -> bool:
        """Whether all of them are in memory."""
        return all(source.in_memory for source in self.sources)

    def __len__(self) -> int:
        return len(self.names)

    def location(self, index: int) -> str:
        """Where the image's source has it."""
        source, number = self._place(index)
        return source.location(number)

    def read(self, index: int) -> bytes:
        """Bytes of one image file; ``OSError`` where it cannot be read."""
        source, number = self._place(index)
        return source.read(number)

    def stamp(self, index: int) -> int:
        """The stamp of the image's source; ``OSError`` where the image is gone."""
        source, number = self._place(index)
        return source.stamp(number)

    def _place(self, index: int) -> tuple[ImageSource, int]:
        source, number = self.places[index].tolist()
        return self.sources[source], number
