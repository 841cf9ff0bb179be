import json

import pytest
from compared_runs import compared

from jaxnext.reporting.comparison import compare, to_json
from jaxnext.reporting.paired import mcnemar


def test_two_settings_of_one_run() -> None:
    good, bad = compared("good", 6.0, head="fc"), compared("bad", 0.5)
    found = compare([bad, good])
    assert [setting.name for setting in found.settings] == ["good", "bad"]
    (each,) = found.differences
    right, wrong = good.predictions.correct, bad.predictions.correct
    assert (each.only_first, each.only_second) == ((right & ~wrong).sum(), (wrong & ~right).sum())
    assert each.accuracy.value == pytest.approx(right.mean() - wrong.mean())
    assert each.test == mcnemar(each.only_first, each.only_second)
    assert each.distinguishable
    assert [setting.by for setting in found.settings] == ["wilson", "wilson"]


def test_the_same_answers_are_not_distinguishable() -> None:
    (each,) = compare([compared("a"), compared("b", head="fc")]).differences
    assert (each.accuracy, each.decide, each.distinguishable) == ((0, 0, 0), None, False)


def test_json() -> None:
    runs = [compared("a-seed0"), compared("a-seed1", draw=1, seed=1), compared("b-seed0", 3.0, head="fc")]
    text = json.dumps(to_json(compare(runs)), allow_nan=False)
    read = json.loads(text)
    assert [(s["name"], s["runs"], s["val_accuracy"]["interval"]) for s in read["settings"]] == [
        ("b", ["b-seed0"], "wilson"),
        ("a", ["a-seed0", "a-seed1"], "bootstrap"),
    ]
    assert json.dumps(to_json(compare(runs)), allow_nan=False) == text
