from pathlib import Path

import pytest

from jaxnext.text_lines import read_lines


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"\xef\xbb\xbfa\r\nb\r\n", ["a", "b"]),
        (b"a\n\n", ["a", ""]),
        (b"", []),
        ("a\u2028b\x0bc\x85d\x0ce\x1c\n".encode(), ["a\u2028b\x0bc\x85d\x0ce\x1c"]),
        (b"a\rb\r\n", ["a\rb"]),
    ],
)
def test_lines_are_cut_at_line_feeds_only(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    (tmp_path / "a").write_bytes(content)
    assert read_lines(tmp_path / "a") == lines
