import pytest

from jaxnext.cli.data_folder import LABEL_SETTINGS, add_folder, with_folder
from jaxnext.cli.parser import Parser
from jaxnext.config.sections import Config
from jaxnext.errors import UsageError


def read(*argv: str) -> Config:
    parser = Parser("check", "DATA", "Text.")
    add_folder(parser)
    parser.settings(Config(), only=LABEL_SETTINGS)
    return with_folder(parser.parse(list(argv)), Config())


def test_the_argument_is_the_path() -> None:
    assert read("images") == read("--data.path", "images")
    assert read("images").data.path == "images"
    assert read().data.path is None
    assert read("images", "--data.labels", "a.csv").data.labels == "a.csv"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("a", "--data.path", "b"), "DATA: expected no value with --data.path, which is the same, found a"),
        (("",), "DATA: expected a path, found an empty one"),
    ],
)
def test_mistakes(argv: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        read(*argv)
    assert str(error.value) == sentence
