import jax

from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.compare import compared_run, write_comparison
from jaxnext.reporting.run_facts import read_run

OPTIONS = {"batch_size": 7, "workers": 0, "cores": 2, "warn": print, "progress": lambda batches, _: batches}


def test_a_run_alone(run, tmp_path):
    classifier = TrainedClassifier(run, devices=jax.devices()[:1])
    found = compared_run(classifier, read_run(run), "small", **OPTIONS)
    assert found.names[0] == "0/0.jpg" or found.names[0].endswith("0/0.jpg")
    best = max(record["val_accuracy"] for record in found.facts.history)
    comparison = write_comparison([found], "one", tmp_path / "a.html", tmp_path / "a.json")
    assert comparison.settings[0].accuracy.value == best
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.json"]
