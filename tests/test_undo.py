import json

import pytest
from sorted_images import entries, sort, tree, write_data

from jaxnext.errors import JaxnextError
from jaxnext.inference.sorting.lock import locked
from jaxnext.inference.sorting.undo import undo


def take_back(output):
    lines = []
    return undo(output, say=lines.append, warn=lines.append, progress=lambda found, _: found), lines


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


@pytest.mark.parametrize("mode", ["copy", "link", "move"])
def test_all_is_as_it_was(data, tmp_path, mode):
    before, output = tree(data), tmp_path / "out"
    sort([data], output, mode)
    assert take_back(output) == (0, [f"{output}: 4 images taken back"])
    assert tree(data) == before
    assert not output.exists()


def test_what_is_not_the_sorts_own_stays(data, tmp_path):
    output = tmp_path / "out"
    sort([data], output)
    (output / "cat" / "mine.jpg").write_text("mine")
    (output / "cat" / "a.jpg").write_text("c1, changed")
    (output / "dog" / "b.jpg").unlink()
    assert take_back(output) == (
        1,
        [
            f"{output}/cat/a.jpg: expected the copy of {data}/one/a.jpg, found it changed; it stays",
            f"{output}: 3 images taken back",
            f"{output}/sorted.csv: 1 of 4 images stay where they were sorted to",
        ],
    )
    assert tree(output) == {"cat/mine.jpg": "mine", "cat/a.jpg": "c1, changed"}
    assert entries(output) == [".sorted.lock", "cat", "sorted.csv", "sorted.json"]
    (output / "cat" / "a.jpg").write_text("c1")
    assert take_back(output)[0] == 0
    assert tree(output) == {"cat/mine.jpg": "mine"}


def test_a_link_that_was_replaced(data, tmp_path):
    output = tmp_path / "out"
    sort([data], output, "link")
    (output / "dog" / "b.jpg").unlink()
    (output / "dog" / "b.jpg").write_text("mine")
    status, lines = take_back(output)
    assert (status, lines[0]) == (
        1,
        f"{output}/dog/b.jpg: expected the link to {data}/two/b.jpg, found something else; it stays",
    )
    assert tree(output) == {"dog/b.jpg": "mine"}


def test_an_old_place_that_is_taken(data, tmp_path):
    output = tmp_path / "out"
    sort([data], output, "move")
    (data / "two" / "b.jpg").write_text("new")
    (output / "cat" / "a.jpg").unlink()
    status, lines = take_back(output)
    assert status == 1
    assert lines[:2] == [
        f"{data}/two/b.jpg: expected nothing in the old place of {output}/dog/b.jpg, found another file; both stay",
        f"{output}/cat/a.jpg: expected the image that was {data}/one/a.jpg, found neither",
    ]
    assert tree(data) == {"two/a.jpg": "c22", "two/b.jpg": "new", "two/c.jpg": "?4444", "two/d.jpg": "x55555"}
    assert tree(output) == {"dog/b.jpg": "d333"}


def test_a_folder_that_is_gone_is_made_again(data, tmp_path):
    output = tmp_path / "out"
    sort([data], output, "move")
    (data / "one").rmdir()
    assert take_back(output)[0] == 0
    assert tree(data)["one/a.jpg"] == "c1"


def test_two_images_that_had_one_place(data, tmp_path):
    output = tmp_path / "out"
    sort([data], output, "move")
    (data / "two" / "b.jpg").write_text("d second")
    sort([data], output, "move")
    assert take_back(output)[0] == 1
    assert (data / "two" / "b.jpg").read_text() == "d second"
    (data / "two" / "b.jpg").rename(data / "second.jpg")
    assert take_back(output)[0] == 0
    assert (data / "two" / "b.jpg").read_text() == "d333"


def test_what_was_cut_off_is_finished_before_sorting_again(data, tmp_path):
    output = tmp_path / "out"
    sort([data], output)
    options = json.loads((output / "sorted.json").read_text())
    (output / "sorted.json").write_text(json.dumps({**options, "undoing": True}))
    with pytest.raises(JaxnextError) as error:
        sort([data], output)
    assert str(error.value) == f"{output}: taking this sort back was cut off; finish it with --undo {output}"
    assert take_back(output)[0] == 0


def test_nothing_to_take_back(data, tmp_path):
    with pytest.raises(JaxnextError) as error:
        take_back(data)
    assert str(error.value) == f"{data}: expected a folder with sorted.csv, the table of an earlier sort, found none"
    assert entries(data) == ["one", "two"]
    sort([data], tmp_path / "out")
    with locked(tmp_path / "out"), pytest.raises(JaxnextError, match="another process is sorting into this folder"):
        take_back(tmp_path / "out")
