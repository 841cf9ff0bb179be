import errno
import os

import pytest
from sorted_images import entries

from jaxnext.errors import JaxnextError
from jaxnext.inference.sorting import placing
from jaxnext.inference.sorting.placing import file_digest, finish_move, free_names, move, write_copy, write_link


@pytest.fixture(params=["links", "none", "across"])
def system(request, monkeypatch):
    """A file system with hard links, one without, and two."""
    code = {"links": None, "none": errno.EPERM, "across": errno.EXDEV}[request.param]
    real = os.link

    def link(origin, target, **options):
        if code == errno.EPERM or (code == errno.EXDEV and not str(origin).endswith(".part")):
            raise OSError(code, os.strerror(code), str(origin), None, str(target))
        return real(origin, target, **options)

    monkeypatch.setattr(os, "link", link)
    return request.param


def test_a_move(system, tmp_path):
    origin, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    origin.write_text("image")
    os.utime(origin, (1, 2))
    origin.chmod(0o640)
    move(origin, target)
    assert entries(tmp_path) == ["b.jpg"]
    assert (target.read_text(), target.stat().st_mtime, target.stat().st_mode & 0o777) == ("image", 2, 0o640)


def test_nothing_is_overwritten(system, tmp_path):
    origin, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    origin.write_text("image")
    target.write_text("mine")
    for act in (
        lambda: move(origin, target),
        lambda: write_copy(b"x", None, target),
        lambda: write_link(origin, target),
    ):
        with pytest.raises(FileExistsError):
            act()
    target.unlink()
    target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        move(origin, target)
    assert origin.read_text() == "image"
    assert str(target.readlink()) == "nowhere"


def test_a_copy_on_another_disk_that_is_not_equal(monkeypatch, tmp_path):
    origin, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    origin.write_text("image")
    monkeypatch.setattr(placing, "_rename_to_new", lambda *_: (_ for _ in ()).throw(OSError(errno.EXDEV, "")))
    monkeypatch.setattr(placing, "write_copy", lambda data, origin, target: target.write_bytes(data[1:]))
    with pytest.raises(JaxnextError) as error:
        move(origin, target)
    assert str(error.value) == (
        f"{origin}: expected an equal copy at {target}, found another; the image stays in its place"
    )
    assert entries(tmp_path) == ["a.jpg"]


def test_a_file_that_may_not_leave_is_in_its_old_place_alone(monkeypatch, tmp_path):
    origin, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    origin.write_text("image")
    real = os.unlink

    def unlink(path, **options):
        if str(path) == str(origin):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        real(path, **options)

    monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(PermissionError):
        move(origin, target)
    assert entries(tmp_path) == ["a.jpg"]


def test_a_move_that_was_cut_off(tmp_path):
    origin, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    origin.write_text("image")
    assert not finish_move(origin, target)
    target.write_text("other")
    assert not finish_move(origin, target)
    assert origin.exists()
    target.write_text("image")
    assert finish_move(origin, target)
    assert entries(tmp_path) == ["b.jpg"]
    assert finish_move(origin, target)


def test_what_has_a_digest(tmp_path):
    (tmp_path / "a").write_text("image")
    (tmp_path / "b").symlink_to("a")
    assert file_digest(tmp_path / "a") == "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"
    assert [file_digest(tmp_path / name) for name in ("b", "c", ".")] == [None, None, None]


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("a.jpg", "a (2).jpg"),
        ("a.b.jpg", "a.b (2).jpg"),
        ("a", "a (2)"),
        ("ä" * 125 + ".jpg", "ä" * 123 + " (2).jpg"),
        ("\udce9.jpg", "\udce9 (2).jpg"),
    ],
)
def test_names_of_which_one_is_free(name, second):
    names = free_names(name)
    assert (names(1), names(2)) == (name, second)
    assert len(os.fsencode(names(99))) <= 255
