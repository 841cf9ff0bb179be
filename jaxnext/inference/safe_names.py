"""Names of files and folders that any system takes, made of names from elsewhere: of images, of classes."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence

_LONGEST = 190
"""Bytes of a part of a name; the systems' limit is 255, and endings and the name while it is written are longer."""
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in "0123456789¹²³")}
"""What Windows takes for devices, whatever their ending."""
_SIGNS = frozenset('%<>:"|?*\\/')


def safe_folders(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    r"""Return a folder's name for each class, safe and its own on any file system.

    What a file system may take amiss is written as its bytes in UTF-8: ``../x`` becomes ``%2E.%2Fx``, ``CON`` becomes
    ``%43ON``. Names that a file system may take for one, as ``Cat`` and ``cat``, have some letters of a digest.

    Args:
        names: of the classes, distinct.
        taken: names in the same folder that none of them may have.
    """
    safe = [safe_part(name) for name in names]
    counts = Counter(map(folded, [*safe, *taken]))
    return [
        place + digest(name) if counts[folded(place)] > 1 else place for name, place in zip(names, safe, strict=True)
    ]


def safe_part(part: str, ending: str = "") -> str:
    """Return one part of a path, as ``safe_folders`` has it, without regard to others.

    Args:
        part: any text.
        ending: that the safe name must not have.
    """
    letters = [_escaped(letter) if letter in _SIGNS or not letter.isprintable() else letter for letter in part]
    if not letters:
        return "%"
    is_device = part.partition(".")[0].rstrip().lower() in _RESERVED
    # A leading dot hides a file, and a picture has one while it is written.
    if is_device or part[0] in ". ":
        letters[0] = _escaped(part[0])
    if part[-1] in ". " or (ending and part.lower().endswith(ending)):
        letters[-1] = _escaped(part[-1])
    safe = "".join(letters)
    data = safe.encode()
    return safe if len(data) <= _LONGEST else data[:_LONGEST].decode(errors="ignore") + digest(part)


def folded(name: str) -> str:
    """Return what is the same for names that a file system may take for one."""
    return unicodedata.normalize("NFKC", name).casefold()


def digest(text: str) -> str:
    """Return letters that tell a text from others, for the end of its safe name."""
    return f"%~{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _escaped(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))
