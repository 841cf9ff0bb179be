"""Pillow's warnings, which name a line of its code and not the image."""

import warnings


def silence_pillow() -> None:
    """Shows none of them in this process.

    What matters of them is said in the project's own sentences: a decompression bomb is an error here, an image that is
    cut short too. A palette with transparency is decoded without it only where ``data.background`` says so.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
