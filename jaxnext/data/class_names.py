"""Names of classes that a reader would confuse, or that no file of text can hold."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxnext.errors import JaxnextError


def check_names(where: Path | str, names: Iterable[str]) -> None:
    """Refuse names that are no line of text, and those that differ in a way that nobody sees.

    Names that differ by case are different classes.

    Args:
        where: file or folder that has them, for messages.
        names: of all classes.

    Raises:
        JaxnextError: a name is not UTF-8 or has control characters, or two differ by blanks at their ends or by Unicode
            form (NFC, NFD) alone.
    """
    seen: dict[str, str] = {}
    for name in names:
        if not name.isprintable() and any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            raise JaxnextError(
                f"{where}: expected names of classes in UTF-8, of one line and without control characters, found "
                f"{name!a}; rename it"
            )
        twin = seen.setdefault(unicodedata.normalize("NFC", name).strip(), name)
        if twin != name:
            raise JaxnextError(
                f"{where}: expected names of classes that differ to the eye, found {twin!a} and {name!a}"
                f"{_difference(twin, name)}; make them one"
            )


def check_across(places: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Refuse classes of several folders that differ only by case, unless one of the folders has both.

    Args:
        places: of each folder its name, for messages, and its classes.

    Raises:
        JaxnextError: as ``check_names`` of all of them, and for case; both are named.
    """
    where = " and ".join(place for place, _ in places)
    first = {name: place for place, names in reversed(places) for name in names}
    check_names(where, sorted(first))
    seen: dict[str, str] = {}
    for name in sorted(first):
        twin = seen.setdefault(_folded(name), name)
        if twin != name and not any({twin, name} <= set(names) for _, names in places):
            raise JaxnextError(
                f"{where}: expected the same names for the same classes, found {twin!r} in {first[twin]} and {name!r} "
                f"in {first[name]}{_difference(twin, name)}; rename one"
            )


def like(name: str, classes: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: which class it looks like, or nothing."""
    twin = next((known for known in classes if _folded(known) == _folded(name)), None)
    return "" if twin is None else f", which looks like {twin!a}{_difference(twin, name)}; rename one"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()


def _difference(one: str, other: str) -> str:
    one, other = one.strip(), other.strip()
    if one == other:
        return " (blanks at their ends)"
    by_form = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
    return " (the same letters in two Unicode forms, NFC and NFD)" if by_form else " (upper and lower case)"
