import pytest

from jaxnext.data.class_names import check_across, check_names, like
from jaxnext.errors import JaxnextError

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ((COMPOSED, DECOMPOSED), r"'caf\xe9' and 'cafe\u0301' (the same letters in two Unicode forms, NFC and NFD)"),
        (("cat", "dog", "cat "), "'cat' and 'cat ' (blanks at their ends)"),
    ],
)
def test_names_that_look_the_same(names: tuple[str, ...], found: str) -> None:
    with pytest.raises(JaxnextError) as error:
        check_names("data", names)
    assert str(error.value) == f"data: expected names of classes that differ to the eye, found {found}; make them one"


@pytest.mark.parametrize("name", ["two\nlines", "\udce9", "\x00", "bell\x07"])
def test_names_that_are_no_line_of_text(name: str) -> None:
    with pytest.raises(JaxnextError) as error:
        check_names("data", ["cat", name])
    assert str(error.value) == (
        "data: expected names of classes in UTF-8, of one line and without control characters, "
        f"found {name!a}; rename it"
    )


def test_names_that_differ() -> None:
    check_names("data", ["Cat", "cat", "01", "1", "no\u00a0break", "\U0001f408", COMPOSED])


def test_the_same_class_in_two_folders() -> None:
    check_across([("one", ["Cat", "cat"]), ("two", ["cat", "dog"])])
    with pytest.raises(JaxnextError) as error:
        check_across([("one", ["cat", "dog"]), ("two", ["Cat", "dog"])])
    assert str(error.value) == (
        "one and two: expected the same names for the same classes, found 'Cat' in two and 'cat' in one "
        "(upper and lower case); rename one"
    )
    with pytest.raises(JaxnextError, match=r"one and two: expected names of classes that differ to the eye, found"):
        check_across([("one", [COMPOSED]), ("two", [DECOMPOSED])])


def test_what_a_name_looks_like() -> None:
    assert like("Cat", ["dog", "cat"]) == ", which looks like 'cat' (upper and lower case); rename one"
    assert like(DECOMPOSED, [COMPOSED]).startswith(r", which looks like 'caf\xe9' (the same letters in two Unicode")
    assert like("emu", ["dog", "cat"]) == ""
