from pathlib import Path

import pytest

from jaxnext.cli.average import parse
from jaxnext.cli.invocation import Invocation
from jaxnext.errors import UsageError


def parsed(*words: str):
    return parse(words, Invocation("jaxnext"))


def test_the_options() -> None:
    found = parsed("a", "b", "--output", "c", "--method", "greedy", "--data", "d")
    assert (found.runs, found.output, found.method, found.data) == (
        [Path("a"), Path("b")],
        Path("c"),
        "greedy",
        Path("d"),
    )
    assert (found.which, found.batch_size, found.workers) == ("best", 16, None)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a", "--output", "c"], "RUN: expected the folders of two or more runs, found 1"),
        (["a", "./a", "--output", "c"], "RUN: expected different runs, found a twice"),
        (["a", "b"], "--output is missing: give the folder that receives the checkpoint"),
        (["a", "b", "--output", "c", "--batch_size", "0"], "--batch_size: expected at least 1, found 0"),
    ],
)
def test_mistakes(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        parsed(*words)
    assert str(refused.value) == sentence
