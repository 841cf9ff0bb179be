import dataclasses

from html_reader import Reader
from reported import EVIL, facts

from jaxnext.config.sections import Config
from jaxnext.reporting.report_run import run_sections


def test_what_is_said() -> None:
    found = Reader(run_sections(facts(), {"stem": 1500, "head": 20}))
    words = " ".join(found.texts)
    assert "training images 1,200 validation images 60 classes 7 images that could not be read 1" in words
    assert "the file is empty" in words
    assert "setting value default epochs 7 50 data.path" in words
    assert "stem 1,500 head 20 total 1,520" in words
    assert "epochs 3 of 7 time, validation included 24 s" in words
    assert "training images a second, median of the epochs 10.0 share of the time that waited for data 25.0%" in words
    assert "devices cpu platform cpu processes 1" in words
    assert "jax 0.10 commit unknown" in words
    assert "script" not in found.tags
    # As a setting and, with its extension, as an image.
    assert EVIL in found.texts
    assert f"{EVIL}.png" in found.texts


def test_defaults_and_an_older_run() -> None:
    run = dataclasses.replace(facts(), config=Config(), description={}, corrupt=())
    words = " ".join(Reader(run_sections(run, {})).texts)
    assert "All are the defaults." in words
    assert "training images unknown" in words
    assert "reason" not in words
