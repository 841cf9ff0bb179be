"""Lines of text files, whichever system wrote them."""

from pathlib import Path


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file, without a byte-order mark and without their ends, LF or CR LF.

    ``str.splitlines`` would cut at eight further characters, which may stand in names.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    lines = path.read_bytes().decode("utf-8-sig").split("\n")
    # The last line has an end, or none.
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]
