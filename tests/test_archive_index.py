import contextlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.data.archive import ArchiveTree, open_archive
from jaxnext.data.archive_index import index_archive
from jaxnext.errors import JaxnextError


def tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as file:
        for member in members:
            file.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def member(name: str, size: int = 3, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, "../x.png" * (kind == tarfile.SYMTYPE)
    return info


def zipped(path: Path, contents: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:x.png", "a\\..\\..\\x.png"])
def test_entries_that_escape(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "x.zip", {"a/1.png": b"1", name: b"2"})
    with pytest.raises(JaxnextError) as error:
        index_archive(path)
    shown = ascii(name.replace("\\", "/"))
    assert str(error.value) == f"{path}: expected paths inside of the archive, found the entry {shown}"
    if "\\" not in name:
        with pytest.raises(JaxnextError, match=r"expected paths inside of the archive, found the entry"):
            index_archive(tar(tmp_path / "x.tar", member("a/1.png"), member(name)))


def test_bombs(tmp_path: Path) -> None:
    path = zipped(tmp_path / "big.zip", {"a/1.bmp": bytes(2**26 + 1)})
    with pytest.raises(
        JaxnextError, match=r"found the entry 'a/1.bmp' that would grow from 65,\d+ to 67,108,865 bytes"
    ):
        index_archive(path)
    # A directory that lists one entry under two names.
    path = zipped(tmp_path / "twice.zip", {"a/1.png": b"1" * 99, "a/2.png": b"2" * 99}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 42 :][:4] = bytes(4)
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(JaxnextError, match=r"expected entries apart from one another, found 'a/1\.png' and 'a/2\.png'"):
        index_archive(path)


def test_an_entry_gives_no_more_than_it_says(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a/1.png": b"1" * 1000, "a/2.png": b"2" * 1000})
    data = path.read_bytes().replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    tree = open_archive(path)
    source = tree.source(["a/1.png"], np.zeros(1, np.int32), ["a"])
    with pytest.raises(OSError, match=r"its entry in the archive is damaged: expected 10 bytes, found more"):
        source.read(0)
    path.write_bytes(data[:20])
    with pytest.raises(OSError, match=r"there is no entry where its directory says"):
        source.read(0)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(tmp_path: Path, kind: bytes) -> None:
    path = tar(tmp_path / "x.tar", member("a/1.png", 0, kind))
    with pytest.raises(JaxnextError, match=r"expected files and folders, found the link or device 'a/1\.png'"):
        index_archive(path)


def test_archives_that_cannot_be_read(tmp_path: Path) -> None:
    good = zipped(tmp_path / "x.zip", {"a/1.png": b"1"}).read_bytes()
    for suffix, content, message in (
        (".zip", good[:-5], r"x\.zip: the archive cannot be read \(File is not a zip file\)"),
        (".tar", b"no archive" * 99, r"x\.tar: the archive cannot be read \("),
        (
            ".tar",
            b"\x1f\x8b\x08\x00more",
            r"expected a \.tar file that is not compressed, since images are read",
        ),
    ):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(content)
        with pytest.raises(JaxnextError, match=message):
            index_archive(path)
    path = zipped(tmp_path / "l.zip", {"a/1.png": b"1" * 99}, zipfile.ZIP_LZMA)
    with pytest.raises(
        JaxnextError, match=r"expected stored or deflated entries, found 'a/1\.png' with LZMA; zip anew"
    ):
        index_archive(path)
    with pytest.raises(JaxnextError, match=r"nowhere\.zip: the archive cannot be read \(No such file or directory\)"):
        index_archive(tmp_path / "nowhere.zip")
    with pytest.raises(JaxnextError, match=r"expected each path once, found the entry 'a/1\.png' twice"):
        index_archive(tar(tmp_path / "t.tar", member("a/1.png"), member("./a//1.png")))


def test_a_tar_file_cut_short(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", member("a/1.png", 2000))
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(JaxnextError, match=r"the archive is cut short in its entry 'a/1\.png'"):
        index_archive(path)


def test_the_directory_of_a_tar_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar(tmp_path / "x.tar", member("a/\udcff.png"), member("b/2.png", 5))
    first, lines = index_archive(path, tmp_path / "kept")
    with monkeypatch.context() as patch:
        patch.setattr(tarfile, "open", None)
        again, _ = index_archive(path, tmp_path / "kept")
    assert first.names == again.names == ["a/\udcff.png", "b/2.png"]
    assert first.places.tolist() == again.places.tolist() == [[1536, 3, 3, -1], [2560, 5, 5, -1]]
    assert lines == []
    tar(path, member("c/3.png"))
    assert index_archive(path, tmp_path / "kept")[0].names == ["c/3.png"]


def test_what_a_mac_adds_is_left_out(tmp_path: Path) -> None:
    names = ["d/a/1.png", "__MACOSX/d/a/._1.png", "d/a/._2.png", "d/b/2.png", "d/.cache/x/3.png", ".DS_Store"]
    tree = ArchiveTree(zipped(tmp_path / "x.zip", dict.fromkeys(names, b"1")))
    assert tree.list_folder() == (["d"], [], ["__MACOSX/", ".DS_Store"])
    tree = open_archive(tmp_path / "x.zip")
    assert tree.path == tmp_path / "x.zip" / "d"
    assert tree.list_folder() == (["a", "b"], [], [".cache/"])
    assert tree.list_images() == (["a/1.png", "b/2.png"], [".cache/", "a/._2.png"])


@pytest.fixture(scope="module", params=[".zip", ".tar"])
def good(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / f"x{request.param}"
    if request.param == ".tar":
        return tar(path, member("a/1.png"), member("b/" + "long" * 30 + ".png", 700))
    return zipped(path, {"a/1.png": b"1" * 100, "b/2.png": bytes(range(256))})


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_archive_ends_in_a_sentence(good: Path, data: st.DataObject) -> None:
    content = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = good.with_name(f"damaged{good.suffix}")
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        tree = open_archive(path)
    except JaxnextError:
        return
    names, _ = tree.list_images()
    source = tree.source(names, np.zeros(len(names), np.int32), ["a"])
    for i in range(len(names)):
        with contextlib.suppress(OSError):
            assert len(source.read(i)) == source.places[i, 2]
