import re
import time

import numpy as np
import pytest
from html_reader import Reader
from predicted import literal
from reported import EVIL, facts, report
from sklearn import metrics as measure

from jaxnext.reporting import report_images
from jaxnext.reporting.predictions import Predictions
from jaxnext.reporting.report_images import select, within
from jaxnext.reporting.report_maps import ImageMaps, images_with_maps, letters
from jaxnext.reporting.report_maps import within as maps_within
from jaxnext.reporting.report_page import Report, report_page


@pytest.fixture(scope="module")
def page() -> str:
    return report_page(report())


def without_pictures(page: str) -> str:
    return re.sub(r"url\(data:image/jpeg;base64,[^)]*\)", "", page)


def test_figures_are_scikit_learns(page: str) -> None:
    found, words = report().predictions, " ".join(Reader(page).texts)
    truth, predicted = found.truth, found.predicted
    f1 = measure.f1_score(truth, predicted, average="macro", zero_division=0)
    assert f"{100 * measure.accuracy_score(truth, predicted):.1f} % top-1 accuracy" in words
    assert f"{100 * f1:.1f} % macro F1" in words
    assert f"log loss {measure.log_loss(truth, found.probabilities, labels=range(7)):.4f}" in words
    assert f"Matthews correlation {measure.matthews_corrcoef(truth, predicted):.4f}" in words
    recall = measure.recall_score(truth, predicted, labels=[3], average="macro")
    row = re.search(r'<tr data-place="3">.*?</tr>', page)
    assert row
    assert f'data-value="{recall:.9g}">{100 * recall:.1f} % ' in row[0]
    # The last class has no images.
    assert '<td class=number data-value="">-</td>' in page


def test_coverage(page: str) -> None:
    found = report().predictions
    order = np.argsort(-found.confidence)[:30]
    expected = ("50%", "30", f"{100 * found.correct[order].mean():.1f} %", f"{found.confidence[order[-1]]:.3f}")
    assert "".join(f"<td class=number>{cell}</td>" for cell in expected) in page


def test_nothing_is_loaded(page: str) -> None:
    found = Reader(page)
    assert not {"link", "iframe", "img", "base"} & set(found.tags)
    assert all(where.startswith("#") for where in found.loaded)
    rest = re.sub(r'xmlns[^"]*"[^"]*"', "", without_pictures(page))
    assert not re.search(r"https?:|@import|url\((?!#)|fetch\(|XMLHttp|import\(", rest)


def test_names_are_text(page: str) -> None:
    found = Reader(page)
    # The data of the cells, and the script.
    assert found.tags.count("script") == 2
    assert f"Report: run {EVIL}" in found.texts
    assert EVIL not in page


def test_the_same_report_is_the_same_page(page: str) -> None:
    assert report_page(report()) == page


def test_one_image() -> None:
    found = literal([0], [[1.0]])
    words = " ".join(Reader(report_page(Report("r", facts(1), {}, found, select(found), {}, 1))).texts)
    assert "1 validation images, 1 classes, predicted by the best epoch, 1 of 1" in words
    assert "One image says nothing of it." in words


@pytest.mark.slow
def test_a_hundred_classes_and_twenty_thousand_images() -> None:
    random, count = np.random.default_rng(0), 100
    truth = random.integers(0, count, 20_000)
    seen = np.where(random.random(len(truth)) < 0.1, random.integers(0, count, len(truth)), truth)
    powers = np.exp(random.normal(0, 1, (len(truth), count)) + 7 * np.eye(count)[seen])
    paths = [f"data/val/class number {label}/photograph {i:06d}.jpg" for i, label in enumerate(truth)]
    names = [f"class number {i}" for i in range(count)]
    begin = time.process_time()
    found = Predictions.of(paths, truth, powers / powers.sum(1, keepdims=True), names)
    selection = select(found)
    # More letters than photographs have, so that the limits decide.
    address = "data:image/jpeg;base64," + "A" * 8000
    every = [ImageMaps(number, (("image", address), ("Grad-CAM", address))) for number in images_with_maps(found)]
    maps = maps_within(every, 200_000)
    pictures = within(((number, address[:6000]) for number in selection.numbers), 3_600_000 - letters(maps))
    page = report_page(Report("large", facts(50), {"stem": 1}, found, selection, pictures, 50, maps))
    assert len(maps) == 12 < len(every)
    assert len(selection.numbers) == report_images._ALL > len(pictures) > 500
    assert len(page.encode()) < 5_000_000
    assert time.process_time() - begin < 120
