import json
import os
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from test_processes import Memory

from jaxnext.data.bad_image import BadImage
from jaxnext.errors import JaxnextError
from jaxnext.training.corrupt import CorruptImages
from jaxnext.training.processes import Processes

A, B = BadImage("/d/a.jpg", "the file is empty"), BadImage("/d/b,c.jpg", 'the "end" is missing')


def test_stop_is_at_the_first(tmp_path: Path) -> None:
    images = CorruptImages(False, tmp_path, lambda line: None)
    images.record([])
    with pytest.raises(JaxnextError, match=r"^/d/a\.jpg: the image cannot be read \(the file is empty\)$"):
        images.record([A, B])


def test_skip_names_each_once_and_lists_all(tmp_path: Path) -> None:
    lines: list[str] = []
    images = CorruptImages(True, tmp_path, lines.append)
    images.begin(resumed=False)
    assert images.summary() == ""
    images.write()
    assert not images.file.exists()
    for errors in ([A], [A, B], [B]):
        images.record(errors)
        images.write()
    assert lines == [
        "/d/a.jpg: the image cannot be read (the file is empty); training goes on without it",
        '/d/b,c.jpg: the image cannot be read (the "end" is missing); training goes on without it',
    ]
    assert len(images) == 2
    assert images.summary() == "; 2 images left out as corrupt"
    assert (tmp_path / "corrupt.csv").read_text() == (
        'path,error\n/d/a.jpg,the file is empty\n"/d/b,c.jpg","the ""end"" is missing"\n'
    )


def test_a_resumed_run_keeps_and_extends_the_list(tmp_path: Path) -> None:
    first = CorruptImages(True, tmp_path, lambda line: None)
    first.record([B])
    first.write()
    lines: list[str] = []
    second = CorruptImages(True, tmp_path, lines.append)
    second.begin(resumed=True)
    second.record([B])
    assert (lines, second.summary()) == ([], "; 1 image left out as corrupt")
    second.record([A])
    second.write()
    assert (tmp_path / "corrupt.csv").read_text().splitlines()[1:] == [
        '"/d/b,c.jpg","the ""end"" is missing"',
        "/d/a.jpg,the file is empty",
    ]


def test_a_new_run_has_no_list_of_another(tmp_path: Path) -> None:
    (tmp_path / "corrupt.csv").write_text("path,error\nx,y\n")
    images = CorruptImages(True, tmp_path, lambda line: None)
    images.begin(resumed=False)
    assert len(images) == 0
    assert not images.file.exists()


def test_somebody_elses_file_is_refused_at_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "corrupt.csv").write_text("mine\n")
    with pytest.raises(JaxnextError, match=r"corrupt\.csv: expected no file, or a list of corrupt images"):
        CorruptImages(True, tmp_path, lambda line: None).begin(resumed=False)
    assert (tmp_path / "corrupt.csv").read_text() == "mine\n"


def test_a_list_that_is_none_ends_the_resumed_run(tmp_path: Path) -> None:
    (tmp_path / "corrupt.csv").write_text("mine\n")
    with pytest.raises(JaxnextError, match=r"corrupt\.csv: expected a CSV file with the columns path,error, found an"):
        CorruptImages(True, tmp_path, lambda line: None).begin(resumed=True)


def test_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    first = CorruptImages(True, tmp_path, lambda line: None)
    first.record([BadImage(name, "broken")])
    first.write()
    assert (tmp_path / "corrupt.csv").read_bytes() == b"path,error\ncaf\xe9.jpg,broken\n"
    second = CorruptImages(True, tmp_path, lambda line: None)
    second.begin(resumed=True)
    second.record([BadImage(name, "broken")])
    assert len(second) == 1


def test_a_scan_stops_with_all_of_them(tmp_path: Path) -> None:
    lines: list[str] = []
    images = CorruptImages(False, tmp_path, lines.append)
    images.verified([], 10)
    with pytest.raises(JaxnextError) as error:
        images.verified([BadImage("a", "x"), BadImage("b", "y")], 10)
    assert lines == ["a: the image cannot be read (x)", "b: the image cannot be read (y)"]
    assert str(error.value) == (
        "2 of 10 images cannot be read and are listed above; repair or remove them, or train without them with "
        "--data.on_corrupt skip"
    )


def test_a_scan_goes_on_without_them(tmp_path: Path) -> None:
    images = CorruptImages(True, tmp_path, lambda line: None)
    images.verified([BadImage("a", "x")], 10)
    images.begin(resumed=False)
    images.write()
    assert images.file.read_text() == "path,error\na,x\n"


def test_what_a_scan_found_is_added_to_the_list_of_a_resumed_run(tmp_path: Path) -> None:
    (tmp_path / "corrupt.csv").write_text("path,error\na,x\n")
    images = CorruptImages(True, tmp_path, lambda line: None)
    images.verified([BadImage("b", "y")], 10)
    images.begin(resumed=True)
    images.write()
    assert images.file.read_text() == "path,error\na,x\nb,y\n"


def test_processes_share_what_each_has_met(tmp_path: Path) -> None:
    lines: list[str] = []
    images = CorruptImages(True, tmp_path, lines.append)
    images.record([A])
    sent: list[str] = []

    def allgather(text: str) -> list[str]:
        sent.append(text)
        return [text, json.dumps([[B.name, B.reason], [A.name, "said otherwise"]])]

    others = create_autospec(Processes, instance=True)
    others.allgather.side_effect = allgather
    images.share(others)
    images.share(others)
    assert [json.loads(text) for text in sent] == [[[A.name, A.reason]], []]
    assert [line.partition(": ")[0] for line in lines] == [A.name, B.name]
    images.write()
    assert (tmp_path / "corrupt.csv").read_text().splitlines()[1:] == [
        "/d/a.jpg,the file is empty",
        '"/d/b,c.jpg","the ""end"" is missing"',
    ]


def test_the_first_process_takes_up_what_others_have_met_before_they_share(tmp_path: Path) -> None:
    store, lines = Memory(), list[str]()
    first, second = Processes(0, 2, store), Processes(1, 2, store)
    own, others = CorruptImages(True, tmp_path, lines.append), CorruptImages(True, tmp_path, lambda line: None)
    others.post(second)
    others.record([B])
    others.post(second)
    others.post(second)
    own.record([A])
    own.post(first)
    assert len(store.values) == 1
    own.take_up(first)
    own.write()
    assert [line.partition(": ")[0] for line in lines] == [A.name, B.name]
    assert len(own.file.read_text().splitlines()) == 3
    others.record([A])
    others.post(second)
    own.take_up(first)
    assert len(own) == 2
