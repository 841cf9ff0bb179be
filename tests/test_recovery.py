import pytest

from jaxnext.inference.sorting.journal import Journal, Placement
from jaxnext.inference.sorting.placing import content_digest
from jaxnext.inference.sorting.recovery import recover


@pytest.fixture
def placement(tmp_path):
    (tmp_path / "out" / "cat").mkdir(parents=True)
    (tmp_path / "a.jpg").write_text("image")
    return Placement(str(tmp_path / "a.jpg"), "cat/a.jpg", "cat", "0.75", "move", content_digest(b"image"))


def begun(placement, tmp_path):
    journal = Journal(tmp_path / "out")
    journal.begin([placement])
    found = recover(journal)
    assert journal.begun() == []
    assert journal.read() == found
    return found


def test_what_was_not_done(placement, tmp_path):
    assert begun(placement, tmp_path) == []


@pytest.mark.parametrize("mode", ["copy", "move", "link"])
def test_a_file_that_somebody_else_put_there(placement, tmp_path, mode):
    (tmp_path / "out" / "cat" / "a.jpg").write_text("mine")
    assert begun(placement._replace(mode=mode), tmp_path) == []
    assert (tmp_path / "out" / "cat" / "a.jpg").read_text() == "mine"
    assert (tmp_path / "a.jpg").read_text() == "image"


def test_a_move_that_was_done(placement, tmp_path):
    (tmp_path / "a.jpg").rename(tmp_path / "out" / "cat" / "a.jpg")
    assert begun(placement, tmp_path) == [placement]


def test_a_move_that_was_half_done(placement, tmp_path):
    (tmp_path / "out" / "cat" / "a.jpg").hardlink_to(tmp_path / "a.jpg")
    assert begun(placement, tmp_path) == [placement]
    assert not (tmp_path / "a.jpg").exists()


def test_a_copy_and_a_link_that_were_done(placement, tmp_path):
    (tmp_path / "out" / "cat" / "a.jpg").write_text("image")
    copy = placement._replace(mode="copy")
    assert begun(copy, tmp_path) == [copy]
    link = placement._replace(mode="link", destination="cat/b.jpg")
    (tmp_path / "out" / "cat" / "b.jpg").symlink_to(tmp_path / "a.jpg")
    assert begun(link, tmp_path) == [copy, link]


def test_what_has_its_row_has_one(placement, tmp_path):
    (tmp_path / "a.jpg").rename(tmp_path / "out" / "cat" / "a.jpg")
    Journal(tmp_path / "out").append([placement])
    assert begun(placement, tmp_path) == [placement]
