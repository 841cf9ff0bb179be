import pytest

from jaxnext.errors import JaxnextError, UsageError, harmless, one_line, printable, visible


def test_exit_statuses() -> None:
    assert JaxnextError("a sentence").exit_status == 1
    assert UsageError("a sentence").exit_status == 2


def test_a_usage_error_is_caught_as_any_other() -> None:
    with pytest.raises(JaxnextError, match=r"^a sentence$"):
        raise UsageError("a sentence")


def test_one_line() -> None:
    assert one_line(ValueError("two\n  lines ")) == "two lines"
    assert one_line(ValueError()) == "ValueError"


def test_printable() -> None:
    assert printable("caf\udce9 ä\ud800") == r"caf\udce9 ä\ud800"


def test_what_a_terminal_does_not_obey() -> None:
    assert visible("a\n\x1b[31m\x9bb\udce9 ä") == r"a\n\x1b[31m\x9bb\udce9 ä"
    assert harmless("a\n\tb\r\x1b[2J\udce9") == "a\n\tb\\r\\x1b[2J\udce9"
