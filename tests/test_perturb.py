"""The perturbations still meet the source, and what counts as noticed. The run itself is made by hand."""

import perturb
import pytest


@pytest.mark.parametrize("name", perturb.PERTURBATIONS)
def test_what_is_to_be_changed_occurs_once(name: str) -> None:
    perturbation = perturb.PERTURBATIONS[name]
    text = (perturb.ROOT / perturbation.file).read_text()
    assert text.count(perturbation.old) == 1
    assert perturb.spoiled(text, perturbation) != text
    for test in perturbation.tests:
        assert (perturb.ROOT / "tests" / f"{test}.py").is_file()


def test_an_unknown_name_is_one_sentence_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert perturb.main(["max-pool"]) == 2
    assert capsys.readouterr().err == (
        "error: unknown perturbation 'max-pool': expected one of stem padded as SAME pads, max-pool padded as SAME "
        "pads, biased variance stored, patience counted as Optax does, classes sorted as numbers, resize without "
        "antialiasing\n"
    )


@pytest.mark.parametrize(
    ("unspoiled", "noticed", "status", "said"),
    [
        ([], ["test_norm.py::test_a"], 0, "biased variance stored: test_norm.py::test_a\n"),
        ([], [], 1, "biased variance stored: no test failed\n"),
        (["test_norm.py::test_b"], ["test_norm.py::test_b"], 1, ""),
    ],
)
def test_what_counts_as_noticed(monkeypatch, capsys, unspoiled, noticed, status, said) -> None:
    monkeypatch.setattr(perturb, "failures", lambda tests, change=None: unspoiled if change is None else noticed)
    assert perturb.main(["biased variance stored"]) == status
    output = capsys.readouterr()
    assert output.out == said
    assert ("in an unspoiled copy, found failing: test_norm.py::test_b" in output.err) == bool(unspoiled)
