import io
import os
import sys

import pytest

from jaxnext.cli import console


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", b"caf\xe9 \xc3\xa9 \\ud800\n"),
        ("ascii", b"caf\xe9 \\xe9 \\ud800\n"),
        ("latin-1", b"caf\xe9 \xe9 \\ud800\n"),
    ],
)
def test_any_name_is_shown(encoding: str, shown: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    console.accept_any_name()
    console.say("caf\udce9 \u00e9 \ud800")
    assert written.getvalue() == shown


def test_where_lines_go(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("good")
    console.warn("bad")
    console.note("by the way")
    assert tuple(capsys.readouterr()) == ("good\n", "bad\nby the way\n")


def test_bars_are_shown_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(console.batch_bar([1, 2], 2)) == [1, 2]
    with console.image_bar(3) as bar:
        bar.update(2)
    assert tuple(capsys.readouterr()) == ("", "")


def test_a_terminal_may_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    main, terminal = os.openpty()
    with os.fdopen(terminal, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        console.outlive_terminal()
        console.say("caf\u00e9")
        assert os.read(main, 100) == b"caf\xc3\xa9\r\n"
        assert sys.stdout.isatty()
        os.close(main)
        console.say("nobody sees this")
        with pytest.raises(OSError, match="Input/output error"):
            os.write(terminal, b"nor this")


def test_what_is_no_terminal_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stream)
    console.outlive_terminal()
    assert sys.stdout is stream
