"""Input that nobody should have to expect: a case ends in a sentence that names the thing, and leaves nothing behind.

``{here}`` is the folder with the input. A sentence that ends in dots is the beginning of a longer one.
"""

from pathlib import Path

import hostile_data
import hostile_files
import hostile_runs
import pytest

from jaxnext.errors import JaxnextError

CASES = {**hostile_data.CASES, **hostile_files.CASES, **hostile_runs.CASES}


@pytest.mark.parametrize("name", CASES)
def test_input_ends_in_a_sentence_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    case, folder = CASES[name], tmp_path / "here"
    folder.mkdir()
    case.make(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(JaxnextError) as error:
        case.read(folder)
    found = str(error.value).replace(str(folder), "{here}")
    if case.sentence.endswith("...") and found != case.sentence:
        found = found[: len(case.sentence) - 3] + "..."
    assert found == case.sentence
    assert sorted(folder.rglob("*")) == before
