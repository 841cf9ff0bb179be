import os
from pathlib import Path

from jaxnext.data.folder_source import class_folder_source
from jaxnext.data.packing.digest import contents_of


def test_contents_are_the_same_wherever_they_are_and_others_at_the_same_size_and_time(tmp_path: Path) -> None:
    def contents(root: str, one: bytes, two: bytes) -> str:
        folder = tmp_path / root / "a"
        folder.mkdir(parents=True)
        for name, content in (("1.png", one), ("2.png", two)):
            (folder / name).write_bytes(content)
            os.utime(folder / name, ns=(1, 1))
        return contents_of(class_folder_source(tmp_path / root), range(2))

    first = contents("x", b"one", b"two")
    assert contents("y", b"one", b"two") == first
    assert contents("z", b"two", b"one") != first
    source = class_folder_source(tmp_path / "x")
    (tmp_path / "x/a/2.png").unlink()
    assert contents_of(source, range(2)) not in (first, contents_of(source, range(1)))
