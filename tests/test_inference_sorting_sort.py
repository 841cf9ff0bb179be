import csv
import errno
import os
import zipfile

import jax
import pytest
from sorted_images import ByFirstByte, Kill, Killed, entries, sort, tree, write_data

from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.sorting.journal import Journal
from jaxnext.inference.sorting.lock import locked
from jaxnext.inference.sorting.undo import undo

SORTED = {"cat/a.jpg": "c1", "cat/a (2).jpg": "c22", "dog/b.jpg": "d333", "unknown/c.jpg": "?4444"}


def rows(output):
    return list(csv.DictReader((output / "sorted.csv").read_text().splitlines()))


def test_copies(tmp_path):
    data, output = write_data(tmp_path / "data"), tmp_path / "new" / "out"
    before = tree(data)
    status, lines = sort([data], output)
    assert status == 1
    assert tree(output) == SORTED
    assert tree(data) == before
    assert [list(row.values())[:5] for row in rows(output)] == [
        [f"{data}/one/a.jpg", "cat/a.jpg", "cat", "0.75", "copy"],
        [f"{data}/two/a.jpg", "cat/a (2).jpg", "cat", "0.75", "copy"],
        [f"{data}/two/b.jpg", "dog/b.jpg", "dog", "0.75", "copy"],
        [f"{data}/two/c.jpg", "unknown/c.jpg", "cat", "0.5", "copy"],
    ]
    assert (output / "sorted.csv.errors.csv").read_text() == f"path,error\n{data}/two/d.jpg,no image\n"
    assert lines == [
        f"{data}/two/d.jpg: the image cannot be read (no image)",
        f"{output}/cat: 2 images",
        f"{output}/dog: 1 images",
        f"{output}/unknown: 1 images",
        f"{output}/sorted.csv: 4 images (copy)",
        f"{output}/sorted.csv.errors.csv: 1 of 5 images stay where they are",
    ]


@pytest.mark.slow
def test_a_trained_net_sorts_as_it_predicts(run, images, tmp_path):
    trained = TrainedClassifier(run, devices=jax.devices()[:1])
    files = sorted((images / "test").iterdir())[:6]
    found = trained.predict(files).argmax(1)
    assert sort(files, tmp_path / "out", "link", trained, threshold=None)[0] == 0
    expected = {f"{trained.classes[label]}/{file.name}" for label, file in zip(found, files, strict=True)}
    assert set(tree(tmp_path / "out")) == expected


def test_moves_what_can_be_read(tmp_path):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    assert sort([data], output, "move")[0] == 1
    assert tree(output) == SORTED
    assert tree(data) == {"two/d.jpg": "x55555"}


def test_links_lead_to_the_full_path(tmp_path, monkeypatch):
    write_data(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    sort([tmp_path / "data"], tmp_path / "out", "link", threshold=None)
    assert tree(tmp_path / "out") == {
        "cat/a.jpg": f"-> {tmp_path}/data/one/a.jpg",
        "cat/a (2).jpg": f"-> {tmp_path}/data/two/a.jpg",
        "cat/c.jpg": f"-> {tmp_path}/data/two/c.jpg",
        "dog/b.jpg": f"-> {tmp_path}/data/two/b.jpg",
    }


def test_what_is_there_stays(tmp_path):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    (output / "cat").mkdir(parents=True)
    (output / "cat" / "a.jpg").write_text("mine")
    (output / "cat" / "a (2).jpg").symlink_to("nowhere")
    sort([data], output, "move")
    found = tree(output)
    assert (found["cat/a.jpg"], found["cat/a (2).jpg"]) == ("mine", "-> nowhere")
    assert (found["cat/a (3).jpg"], found["cat/a (4).jpg"]) == ("c1", "c22")


def test_a_name_that_is_taken_meanwhile(tmp_path, monkeypatch):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    real = Journal.begin

    def begin(self, planned):
        real(self, planned)
        (output / "dog").mkdir(exist_ok=True)
        if not (output / "dog" / "b.jpg").exists():
            (output / "dog" / "b.jpg").write_text("theirs")

    monkeypatch.setattr(Journal, "begin", begin)
    sort([data], output, "move")
    assert tree(output) == {**SORTED, "dog/b.jpg": "theirs", "dog/b (2).jpg": "d333"}
    assert rows(output)[2]["destination"] == "dog/b (2).jpg"


def test_a_file_in_place_of_a_class_folder(tmp_path):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    output.mkdir()
    (output / "cat").write_text("mine")
    with pytest.raises(JaxnextError, match=f"^{output}/cat: expected a folder for images, found a file$"):
        sort([data], output)


def test_options_that_json_has_otherwise(tmp_path):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    for _ in range(2):
        assert sort([data], output, options={"image_size": (24, 20)})[0] == 1


def test_new_images_are_sorted_by_the_next_call(tmp_path):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    sort([data], output)
    (data / "one" / "new.jpg").write_text("d")
    second = ByFirstByte()
    _, lines = sort([data], output, classifier=second)
    assert lines[0] == f"{output}: going on after 4 images; 2 are left"
    assert second.seen == [f"{data}/one/new.jpg", f"{data}/two/d.jpg"]
    assert tree(output) == {**SORTED, "dog/new.jpg": "d"}


def test_a_camera_that_counts_from_the_beginning(tmp_path):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    (data / "two" / "d.jpg").unlink()
    sort([data], output, "move")
    assert sort([data], output, "move") == (
        0,
        [f"{output}: going on after 4 images; 0 are left", f"{output}/sorted.csv: 0 images (move)"],
    )
    (data / "two" / "b.jpg").write_text("d new")
    sort([data], output, "move")
    assert tree(output) == {**SORTED, "dog/b (2).jpg": "d new"}


def test_archives_are_copied(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/1.jpg", "c1")
        archive.writestr("x/con:.jpg", "d2")
    assert sort([tmp_path / "a.zip"], tmp_path / "out")[0] == 0
    assert tree(tmp_path / "out") == {"cat/1.jpg": "c1", "dog/con%3A.jpg": "d2"}
    with pytest.raises(UsageError) as error:
        sort([tmp_path / "a.zip"], tmp_path / "other", "move")
    assert str(error.value) == (
        f"--mode move: expected images in folders, found the archive {tmp_path}/a.zip; copy its images"
    )


def test_an_image_that_may_not_leave_its_folder(tmp_path, monkeypatch):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    real, place = os.unlink, str(data / "two" / "b.jpg")

    def unlink(path, **options):
        if str(path) == place:
            raise PermissionError(errno.EACCES, "Permission denied", place)
        real(path, **options)

    monkeypatch.setattr(os, "unlink", unlink)
    _, lines = sort([data], output, "move")
    assert lines[0] == f"{place}: the image cannot be moved (Permission denied)"
    assert (output / "sorted.csv.errors.csv").read_text().splitlines()[1:] == [
        f"{place},it cannot be moved: Permission denied",
        f"{data}/two/d.jpg,no image",
    ]
    assert tree(data) == {"two/b.jpg": "d333", "two/d.jpg": "x55555"}
    assert [row["destination"] for row in rows(output)] == ["cat/a.jpg", "cat/a (2).jpg", "unknown/c.jpg"]
    monkeypatch.undo()
    sort([data], output, "move")
    assert tree(output) == SORTED


def test_a_full_disk_ends_it_and_it_goes_on(tmp_path, monkeypatch):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    with monkeypatch.context() as patch:

        def link(origin, target, **options):
            raise OSError(errno.ENOSPC, "No space left on device", str(origin), None, str(target))

        patch.setattr(os, "link", link)
        with pytest.raises(JaxnextError) as error:
            sort([data], output)
    assert str(error.value) == f"{output}/cat/a.jpg: the image cannot be written (No space left on device)"
    sort([data], output)
    assert tree(output) == SORTED


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mode": "move"}, "expected mode copy, with which this sort was begun, found move"),
        ({"threshold": 0.7}, "expected threshold 0.6, with which this sort was begun, found 0.7"),
        (
            {"options": {"checkpoint": ["/runs/b"]}},
            'expected checkpoint ["/runs/a"], with which this sort was begun, found ["/runs/b"]',
        ),
    ],
)
def test_other_options_are_refused(tmp_path, change, sentence):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    sort([data], output)
    with pytest.raises(JaxnextError) as error:
        sort([data], output, **change)
    assert str(error.value) == f"{output}: {sentence}; give the same, or another --output"


def test_what_is_refused(tmp_path):
    data = write_data(tmp_path / "data")
    for output, folder in ((data / "out", data), (tmp_path, data), (data, data)):
        with pytest.raises(UsageError) as error:
            sort([data], output)
        assert str(error.value) == (
            f"--output: expected a folder that neither holds images to sort nor lies among them, found {output} and "
            f"the images of {folder}"
        )
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "x.jpg").symlink_to(data / "one" / "a.jpg")
    with pytest.raises(UsageError) as error:
        sort([tmp_path / "linked"], tmp_path / "out", "move")
    assert str(error.value) == (
        f"--mode move: expected files, found 1 links: {tmp_path}/linked/x.jpg; copy or link them"
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(JaxnextError, match=f"^{tmp_path}/empty: found no images$"):
        sort([tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(UsageError, match=f"^--output: expected the name of a folder, found the file {data}/one/a.jpg$"):
        sort([data / "two"], data / "one" / "a.jpg")
    assert not (tmp_path / "out").exists()


def test_images_that_a_link_leads_to_are_not_sorted_into(tmp_path):
    output = write_data(tmp_path / "out")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").symlink_to(output / "one")
    with pytest.raises(UsageError, match=f"and the images of {tmp_path}/data/x$"):
        sort([tmp_path / "data"], output)


def test_one_at_a_time(tmp_path):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    output.mkdir()
    with locked(output), pytest.raises(JaxnextError) as error:
        sort([data], output)
    assert str(error.value) == f"{output}: another process is sorting into this folder; wait until it has ended"
    assert sort([data], output)[0] == 1


def test_a_table_without_options(tmp_path):
    data, output = write_data(tmp_path / "data"), tmp_path / "out"
    output.mkdir()
    (output / "sorted.csv").write_text("mine\n")
    with pytest.raises(JaxnextError) as error:
        sort([data], output)
    assert str(error.value) == (
        f"{output}/sorted.csv: expected sorted.json beside it, with the options of that sort, found none; sort into "
        "another folder"
    )


def contents(folder):
    """The different contents of all files: none may get lost."""
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}


def another_file_system(patch):
    """The data are on another one than the output."""
    real = os.link

    def link(origin, target, **options):
        if ("/data/" in str(origin)) != ("/data/" in str(target)):
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(origin), None, str(target))
        return real(origin, target, **options)

    patch.setattr(os, "link", link)


def no_hard_links(patch):
    """As on FAT."""

    def link(origin, target, **options):
        raise OSError(errno.EPERM, "Operation not permitted", str(origin), None, str(target))

    patch.setattr(os, "link", link)


@pytest.mark.parametrize(
    ("mode", "system"),
    [
        ("move", None),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("copy", None), ("link", None))),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("copy", no_hard_links), ("move", no_hard_links))),
        pytest.param("move", another_file_system, marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_point_it_goes_on_to_the_same_end_and_back(mode, system, tmp_path, monkeypatch):
    if system is not None:
        system(monkeypatch)
    before = tree(write_data(tmp_path / "whole" / "data"))
    sort([tmp_path / "whole" / "data"], tmp_path / "whole" / "out", mode)
    expected = {name: value.replace("/whole/", "/x/") for name, value in tree(tmp_path / "whole" / "out").items()}
    left = tree(tmp_path / "whole" / "data")
    originals = {value.encode() for value in before.values()}
    at, kills = 0, 0
    while True:
        place = tmp_path / str(at)
        data, output = write_data(place / "data"), place / "out"
        try:
            with monkeypatch.context() as patch:
                Kill(patch, at)
                sort([data], output, mode)
            break
        except Killed:
            kills += 1
        assert originals <= contents(place)
        sort([data], output, mode)
        assert {name: v.replace(f"/{at}/", "/x/") for name, v in tree(output).items()} == expected
        assert tree(data) == left
        assert list(place.rglob("*.part")) == []
        assert entries(output) == entries(tmp_path / "whole" / "out")
        # And back, killed at that point.
        try:
            with monkeypatch.context() as patch:
                Kill(patch, at)
                undo(output, say=len, warn=print, progress=lambda found, _: found)
        except Killed:
            assert originals <= contents(place)
            if output.exists() and (output / "sorted.json").exists():
                assert undo(output, say=len, warn=print, progress=lambda found, _: found) == 0
        assert tree(data) == before
        assert list(data.rglob("*.part")) == []
        assert not output.exists() or entries(output) in ([".sorted.lock"], [])
        at += 1
    assert kills > 20
