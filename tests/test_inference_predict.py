import csv
import os
import shutil
from unittest.mock import create_autospec

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_run import colour

from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference import predictor
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.predict import cells, header, predict_to_csv
from jaxnext.inference.rows import NamesTable

COLUMNS = ("image_name", "pred_label")


@pytest.fixture(scope="module")
def classifier(run):
    return TrainedClassifier(run, devices=jax.devices()[:1])


def predict(classifier, data, output, **options):
    lines: list[str] = []
    defaults = {
        "probabilities": False,
        "top_k": None,
        "batch_size": 7,
        "workers": 0,
        "keep_extension": False,
        "columns": COLUMNS,
        "cores": 2,
        "say": lines.append,
        "warn": lines.append,
        "progress": lambda batches, total: batches,
    }
    status = predict_to_csv(classifier, data, output, **(defaults | options))
    return status, lines


def rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_labels_are_right_for_classes_that_sort_as_strings(classifier, images, tmp_path):
    status, lines = predict(classifier, [images / "test"], tmp_path / "out" / "p.csv")
    table = rows(tmp_path / "out" / "p.csv")
    assert status == 0
    assert lines == [f"{tmp_path / 'out' / 'p.csv'}: 24 images"]
    assert table[0] == ["image_name", "pred_label"]
    assert [name for name, _ in table[1:]] == sorted(f"class{c}_{i}" for c in range(12) for i in range(2))
    # With the classes in the order of their numbers four labels could be right.
    assert sum(name == f"class{label}_{name[-1]}" for name, label in table[1:]) >= 18
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["p.csv"]


def test_a_thread_for_each_core(classifier, images, tmp_path, monkeypatch):
    opened = create_autospec(predictor.stream, side_effect=predictor.stream)
    monkeypatch.setattr(predictor, "stream", opened)
    predict(classifier, [images / "test"], tmp_path / "p.csv", cores=3)
    assert opened.call_args.kwargs == {"workers": 0, "threads": 3}


def test_probabilities_and_top_k(classifier, images, tmp_path):
    file = next((images / "test").glob("class11_0.jpg"))
    predict(classifier, [file], tmp_path / "p.csv", probabilities=True, top_k=2, keep_extension=True)
    head, row = rows(tmp_path / "p.csv")
    assert head == ["image_name", "pred_label", "label_1", "prob_1", "label_2", "prob_2"] + [
        f"prob_{name}" for name in classifier.classes
    ]
    expected = classifier.predict([file], batch_size=7)[0]
    assert row[:3] == ["class11_0.jpg", "11", "11"]
    assert row[3] == row[head.index("prob_11")]
    np.testing.assert_array_equal(np.array(row[6:], np.float32), expected)


def test_names_are_relative_paths_without_extension(classifier, images, tmp_path):
    (tmp_path / "in" / "a.b").mkdir(parents=True)
    shutil.copy(images / "test" / "class7_0.jpg", tmp_path / "in" / "a.b" / "x.y.jpg")
    predict(classifier, [tmp_path / "in"], tmp_path / "p.csv")
    assert rows(tmp_path / "p.csv")[1:] == [["a.b/x.y", "7"]]


def test_corrupt_image_has_no_row_and_is_listed(classifier, images, tmp_path):
    shutil.copytree(images / "test", tmp_path / "in")
    bad = tmp_path / "in" / "class5_1.jpg"
    bad.write_bytes(bad.read_bytes()[:200])
    status, lines = predict(classifier, [tmp_path / "in"], tmp_path / "p.csv")
    assert status == 1
    assert len(rows(tmp_path / "p.csv")) == 1 + 23
    assert "class5_1" not in (tmp_path / "p.csv").read_text()
    ((path, reason),) = rows(tmp_path / "p.csv.errors.csv")[1:]
    assert rows(tmp_path / "p.csv.errors.csv")[0] == ["path", "error"]
    assert path == str(bad)
    assert lines == [
        f"{bad}: the image cannot be read ({reason})",
        f"{tmp_path / 'p.csv'}: 23 images",
        f"{tmp_path / 'p.csv.errors.csv'}: 1 of 24 images cannot be read",
    ]
    # A later run without failures takes the list away.
    bad.unlink()
    assert predict(classifier, [tmp_path / "in"], tmp_path / "p.csv")[0] == 0
    assert not (tmp_path / "p.csv.errors.csv").exists()


def test_somebody_elses_file_in_the_lists_place_is_refused_before_anything_is_computed(classifier, images, tmp_path):
    (tmp_path / "p.csv.errors.csv").write_text("mine\n")
    with pytest.raises(JaxnextError, match=r"p\.csv\.errors\.csv: expected no file, or a list of corrupt images"):
        predict(classifier, [images / "test"], tmp_path / "p.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv.errors.csv"]


def test_nothing_is_left_when_the_run_breaks(classifier, images, tmp_path):
    def broken(batches, total):
        yield next(iter(batches))
        raise RuntimeError("broken")

    (tmp_path / "p.csv").write_text("before")
    with pytest.raises(RuntimeError, match="broken"):
        predict(classifier, [images / "test"], tmp_path / "p.csv", progress=broken)
    assert (tmp_path / "p.csv").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_files_left_out_are_said(classifier, images, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(images / "test" / "class7_0.jpg", tmp_path / "in")
    (tmp_path / "in" / "b.txt").write_bytes(b"")
    status, lines = predict(classifier, [tmp_path / "in"], tmp_path / "p.csv")
    assert status == 0
    assert lines[0] == "left out 1 entry that is hidden or no image (.txt 1)"


def test_a_folder_as_output_is_refused_before_anything_is_computed(classifier, images, tmp_path):
    def never(batches, total):
        raise AssertionError("batches were asked for")

    with pytest.raises(JaxnextError) as error:
        predict(classifier, [images / "test"], tmp_path, progress=never)
    assert str(error.value) == f"{tmp_path}: expected the name of a file, found a folder"


def test_a_file_name_that_is_not_utf_8_is_among_the_errors(classifier, images, tmp_path):
    shutil.copytree(images / "test", tmp_path / "in")
    bad = tmp_path / "in" / os.fsdecode(b"caf\xe9.jpg")
    shutil.copy(images / "test" / "class7_0.jpg", bad)
    status, lines = predict(classifier, [tmp_path / "in"], tmp_path / "out" / "p.csv")
    assert status == 1
    assert len(rows(tmp_path / "out" / "p.csv")) == 1 + 24
    assert b"caf\xe9.jpg,its name is not UTF-8; rename it\n" in (tmp_path / "out" / "p.csv.errors.csv").read_bytes()
    assert lines[0].endswith("caf\\udce9.jpg: the image cannot be read (its name is not UTF-8; rename it)")
    assert lines[-1].endswith("p.csv.errors.csv: 1 of 25 images cannot be read")


def test_the_narrowest_images_have_their_rows(classifier, tmp_path):
    (tmp_path / "in").mkdir()
    for name, size in (("one", (1, 1)), ("wide", (30_000, 200))):
        Image.new("RGB", size, tuple(colour("7"))).save(tmp_path / "in" / f"{name}.png")
    assert predict(classifier, [tmp_path / "in"], tmp_path / "p.csv")[0] == 0
    assert rows(tmp_path / "p.csv")[1:] == [["one", "7"], ["wide", "7"]]


def test_a_submission_has_the_rows_of_its_table_in_their_order(classifier, images, tmp_path):
    shutil.copytree(images / "test", tmp_path / "in")
    predict(classifier, [tmp_path / "in"], tmp_path / "p.csv")
    labels = dict(rows(tmp_path / "p.csv")[1:])
    names = [*sorted(labels, key=lambda name: name[::-1]), "class3_1"]
    (tmp_path / "sample.csv").write_text("id,label\r\n" + "".join(f"{name},0\r\n" for name in names))
    options = {"table": NamesTable(tmp_path / "sample.csv"), "columns": ("id", "label")}
    assert predict(classifier, [tmp_path / "in"], tmp_path / "s.csv", **options)[0] == 0
    assert rows(tmp_path / "s.csv") == [["id", "label"], *([name, labels[name]] for name in names)]
    (tmp_path / "in" / "class3_1.jpg").write_bytes(b"")
    assert predict(classifier, [tmp_path / "in"], tmp_path / "s.csv", **options)[0] == 1
    expected = [[name, labels[name] if name != "class3_1" else ""] for name in names]
    assert rows(tmp_path / "s.csv")[1:] == expected


def test_below_the_threshold_the_answer_is_unknown_and_energies_are_a_column(classifier, images, tmp_path):
    options = {"probabilities": True, "batch_size": 8}
    predict(classifier, [images / "test"], tmp_path / "p.csv", **options)
    highest = [max(map(float, row[2:])) for row in rows(tmp_path / "p.csv")[1:]]
    between = float(np.mean(sorted(highest)[11:13]))
    _, lines = predict(classifier, [images / "test"], tmp_path / "q.csv", threshold=between, energy=True, **options)
    assert lines == [f"{tmp_path / 'q.csv'}: 24 images, 12 of them unknown"]
    head, *found = rows(tmp_path / "q.csv")
    assert head[-1] == "energy"
    for plain, row in zip(rows(tmp_path / "p.csv")[1:], found, strict=True):
        sure = max(map(float, plain[2:])) >= between
        assert row[:2] == [plain[0], plain[1] if sure else "unknown"]
        np.testing.assert_allclose(np.array(row[2:-1], float), np.array(plain[2:], float), rtol=1e-5, atol=1e-9)
        assert np.isfinite(float(row[-1]))


def test_more_likeliest_classes_than_there_are(classifier, images, tmp_path):
    with pytest.raises(UsageError) as error:
        predict(classifier, [images / "test"], tmp_path / "p.csv", top_k=13)
    assert str(error.value) == "--top_k: expected 1 to 12, the number of classes, found 13"


def test_output_that_cannot_be_written(classifier, images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JaxnextError, match=r"file/p\.csv: the file cannot be written \(.*\)"):
        predict(classifier, [images / "test"], tmp_path / "file" / "p.csv")


def test_header_literally():
    assert header(("a", "b"), False, None, ("id", "label")) == ["id", "label"]
    assert header(("a", "b"), True, 1, COLUMNS) == ["image_name", "pred_label", "label_1", "prob_1", "prob_a", "prob_b"]


def test_cells_literally():
    row = np.array([0.25, 0.5, 0.25], np.float32)
    assert cells(row, ("a", "b", "c"), False, None) == ["b"]
    assert cells(row, ("a", "b", "c"), True, 3) == ["b", "b", "0.5", "a", "0.25", "c", "0.25", "0.25", "0.5", "0.25"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6))
def test_probabilities_read_back_to_the_bit(values):
    row = np.array(values, np.float32)
    names = [str(i) for i in range(len(row))]
    label, *printed = cells(row, names, True, None)
    np.testing.assert_array_equal(np.array(printed, np.float32), row)
    assert label == names[int(row.argmax())]


def test_embeddings_of_the_images_that_have_a_label(classifier, images, tmp_path):
    files = sorted((images / "test").iterdir())[:3]
    for file in files:
        shutil.copy(file, tmp_path)
    (tmp_path / "bad.jpg").write_text("no image")
    lines = predict(classifier, [tmp_path], tmp_path / "out" / "p.csv", embeddings=tmp_path / "out" / "e.npz")[1]
    assert f"{tmp_path / 'out' / 'e.npz'}: 3 embeddings" in lines
    with np.load(tmp_path / "out" / "e.npz") as found:
        assert found["names"].tolist() == [row[0] for row in rows(tmp_path / "out" / "p.csv")[1:]]
        np.testing.assert_allclose(found["embeddings"], classifier.embed(files, batch_size=7), rtol=1e-5, atol=1e-6)
