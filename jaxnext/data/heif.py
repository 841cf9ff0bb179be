"""HEIC, as phones write it: read by pillow-heif where that is installed."""

import functools

from jaxnext.data.bad_image import CorruptImage

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
EXTENSIONS = frozenset((".heic", ".heif", ".hif"))
"""Of such files, in lower case."""


def is_heif(data: bytes) -> bool:
    """Return whether a file begins as HEIF does; AVIF, which Pillow reads by itself, does not count."""
    brands = data[8 : int.from_bytes(data[:4])]
    return data[4:8] == b"ftyp" and brands[:4] in _BRANDS and b"avif" not in brands


@functools.cache
def register() -> None:
    """Have Pillow open HEIF.

    Raises:
        CorruptImage: pillow-heif is not installed.
    """
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise CorruptImage(
            "a HEIC image, which needs pillow-heif: pip install 'jaxnext[heif]' (or pip install pillow-heif)"
        ) from error
    pillow_heif.register_heif_opener()
