"""What is said once of images that were decoded: how many of them were not taken whole."""

from collections.abc import Mapping

from PIL import Image

FRAMES, PROFILE = "frames", "profile"

_SENTENCES = {
    FRAMES: "images of several frames or pages: {:,}; the first of each is taken",
    PROFILE: "images with an ICC profile: {:,}; their colours are taken as they are stored",
}


def remarks_of(image: Image.Image) -> tuple[str, ...]:
    """Return what is to be said of an image that Pillow has opened and whose pixels have been taken."""
    found = (FRAMES,) if _has_frames(image) else ()
    return (*found, PROFILE) if image.info.get("icc_profile") else found


def lines(counts: Mapping[str, int]) -> list[str]:
    """Return a line for each kind of remark, with how many there are."""
    return [sentence.format(counts[kind]) for kind, sentence in _SENTENCES.items() if counts.get(kind)]


def _has_frames(image: Image.Image) -> bool:
    # The further images of MPO and HEIF are previews, depths and the like.
    if image.format in ("MPO", "HEIF"):
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a second frame that cannot be read is one
        return True
