import contextlib
import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import small_run
from html_reader import Reader

from jaxnext.data.image_source import MemorySource
from jaxnext.errors import JaxnextError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.evaluate import Evaluated, predict_labelled
from jaxnext.inference.report import pictures, write_report
from jaxnext.reporting.run_facts import read_run

OPTIONS = {"batch_size": 7, "workers": 0, "cores": 2, "warn": print, "progress": lambda batches, _: batches}


def test_the_page_of_a_run(run, tmp_path):
    classifier = TrainedClassifier(run, devices=jax.devices()[:1])
    counted = []

    @contextlib.contextmanager
    def bar(total):
        yield SimpleNamespace(update=counted.append)
        assert sum(counted) == total > 0

    output = tmp_path / "new" / "report.html"
    write_report(classifier, read_run(run), "small", output, images_bar=bar, **OPTIONS)
    page = output.read_text()
    words = " ".join(Reader(page).texts)
    right = predict_labelled(classifier, None, **OPTIONS).predictions.correct
    best = max(record["val_accuracy"] for record in small_run.metrics(run))
    assert right.mean() == best
    assert f"{100 * best:.1f} % top-1 accuracy" in words
    assert "Report: small 24 validation images, 12 classes" in words
    assert "training images 96 validation images 24 classes 12" in words
    assert len(re.findall(r"\.i[0-9]+\{background-image:url\(data:image/jpeg", page)) == len(counted)
    assert "head" in words
    # Heads and CBAM of small_run's net: 8,192 and more parameters.
    total = sum(leaf.size for leaf in jax.tree.leaves(small_run.model_of(run, "best")[0]["params"]))
    assert f"total {total:,}" in words
    (tmp_path / "file").touch()
    with pytest.raises(JaxnextError, match=r"file/r\.html: the file cannot be written"):
        write_report(classifier, read_run(run), "r", tmp_path / "file" / "r.html", images_bar=bar_of_any, **OPTIONS)


@contextlib.contextmanager
def bar_of_any(total):
    yield SimpleNamespace(update=lambda count: None)


def test_a_picture_that_is_gone():
    class Going(MemorySource):
        def read(self, index):
            if index == 1:
                raise FileNotFoundError(2, "No such file or directory")
            return super().read(index)

    from inspected import encoded, picture
    from square import square

    data = (encoded(picture(0)), b"", b"", encoded(picture(1)))
    source = Going(data, ("a", "b", "c", "d"), np.zeros(4, np.int32), ("x",))
    evaluated = Evaluated(None, source, np.array([3, 1, 2, 0]))
    done = []
    found = dict(pictures(evaluated, [1, 0, 2], square(8), 2, done.append))
    assert list(found) == [1, 0, 2]
    assert (found[1], found[2], found[0][:11], done) == (None, None, "data:image/", [1, 1, 1])
