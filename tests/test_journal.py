import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.errors import JaxnextError
from jaxnext.inference.sorting.journal import Journal, Placement

FIRST = Placement("/data/a.jpg", "cat/a.jpg", "cat", "0.75", "copy", "ab" * 32)
SECOND = Placement('/data/b,"\n.jpg', "=dog/b.jpg", "=dog", "0.5", "copy", "cd" * 32)


def test_rows_are_added_and_read(tmp_path):
    journal = Journal(tmp_path)
    assert journal.read() == []
    journal.append([FIRST])
    journal.append([SECOND])
    assert journal.read() == [FIRST, SECOND]
    assert (tmp_path / "sorted.csv").read_text() == (
        "source,destination,label,probability,mode,sha256\n"
        f"/data/a.jpg,cat/a.jpg,cat,0.75,copy,{'ab' * 32}\n"
        f'"/data/b,""\n.jpg",\'=dog/b.jpg,\'=dog,0.5,copy,{"cd" * 32}\n'
    )


def test_a_row_that_was_cut_off_is_taken_off(tmp_path):
    journal = Journal(tmp_path)
    journal.append([FIRST])
    first = len(journal.table.read_bytes())
    journal.append([SECOND])
    whole = journal.table.read_bytes()
    for length in (0, 1, 20, first - 1, *range(first, len(whole))):
        journal.table.write_bytes(whole[:length])
        assert journal.read() == ([FIRST] if length >= first else [])
        journal.append([SECOND])
        assert journal.read()[-1] == SECOND


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
places = names.map(lambda name: f"cat/{name.replace('/', '')}-")


@settings(max_examples=30)
@given(st.lists(st.builds(Placement, names, places, names, names, names, names), max_size=4))
def test_any_names_come_back(tmp_path_factory, rows):
    journal = Journal(tmp_path_factory.mktemp("journal"))
    journal.write(rows)
    assert journal.read() == rows


def test_a_name_that_is_not_utf_8(tmp_path):
    row = FIRST._replace(source="/data/\udce9\r.jpg")
    Journal(tmp_path).append([row])
    assert Journal(tmp_path).read() == [row]
    assert b"/data/\xe9\r.jpg" in (tmp_path / "sorted.csv").read_bytes()


def test_what_was_begun(tmp_path):
    journal = Journal(tmp_path)
    assert journal.begun() == []
    journal.begin([FIRST])
    journal.begin([FIRST, SECOND])
    assert journal.begun() == [FIRST, SECOND]
    journal.end()
    assert journal.begun() == []


@pytest.mark.parametrize("text", ["mine\n", "source,destination\n1,2\n", "a,b\n1,2\n3,4", "source,other"])
def test_another_file(tmp_path, text):
    (tmp_path / "sorted.csv").write_text(text)
    with pytest.raises(JaxnextError) as error:
        Journal(tmp_path).read()
    assert str(error.value) == (
        f"{tmp_path}/sorted.csv: expected the table of a sort, with the columns source,destination,label,probability,"
        "mode,sha256, found another file; move it away, or sort into another folder"
    )
    assert (tmp_path / "sorted.csv").read_text() == text


def test_options(tmp_path):
    journal = Journal(tmp_path)
    assert journal.settings() is None
    journal.write_settings({"mode": "copy"})
    assert journal.settings() == {"mode": "copy"}
    (tmp_path / "sorted.json").write_text("[1]")
    with pytest.raises(JaxnextError, match=r"sorted\.json: expected the options of a sort, found another file"):
        journal.settings()


def test_nothing_of_it_remains(tmp_path):
    journal = Journal(tmp_path)
    journal.write_settings({"mode": "copy"})
    journal.append([FIRST])
    journal.begin([SECOND])
    (tmp_path / "..sorted.begun.csv.part").touch()
    journal.remove()
    assert list(tmp_path.iterdir()) == []
