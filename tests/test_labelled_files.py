import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxnext.data.sources.folder import Source
from jaxnext.data.splits import OpenContext, Splits
from jaxnext.errors import JaxnextError, UsageError

NAMES = ("a/1.png", "a/2.png", "b/3.png", "b/4.jpg", "c/5.png")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_text(name)
    return tmp_path / "images"


def opened(images: Path, text: str, **context: Any) -> Splits:
    labels = images.with_name("labels.csv") if images.is_file() else images / "labels.csv"
    labels.write_text(text)
    return Source().open(OpenContext(str(images), labels=str(labels), **context))


def message(images: Path, text: str, **context: Any) -> str:
    with pytest.raises(JaxnextError) as error:
        opened(images, text, **context)
    return str(error.value).replace(str(images), "IMAGES")


def test_the_order_of_rows_does_not_matter(images: Path) -> None:
    rows = [f"{Path(name).stem},{label}\n" for name, label in zip(NAMES, "yxyxy", strict=True)]
    first = opened(images, "id,label\n" + "".join(rows), seed=1)
    second = opened(images, "id,label\n" + "".join(reversed(rows)), seed=1)
    assert first.classes == second.classes == ("x", "y")
    for one, other in ((first.train, second.train), (first.validation, second.validation)):
        assert (one.names, one.labels.tolist()) == (other.names, other.labels.tolist())
    assert sorted(first.train.names + first.validation.names) == sorted(NAMES)
    assert first.description == (
        f"{images}/labels.csv: 5 rows; image names from the column id, labels from the column label "
        "(--data.image_column and --data.label_column to name another)",
        f"{images}/labels.csv: 5 images of 2 classes, 3 for training and 2 (20 % of each class, seed 1) for validation",
    )


def test_a_column_split(images: Path) -> None:
    text = "image,label,split\n3,y,train\n1,x,Train\n2,x,val\n4,,test\n9,,test\n"
    splits = opened(images, text)
    assert (splits.train.names, splits.validation.names) == (("a/1.png", "b/3.png"), ("a/2.png",))
    assert splits.validation.labels.tolist() == [0]
    assert splits.description[-2:] == (
        f"{images}: 1 images are not listed in labels.csv and left out: c/5.png",
        f"{images}/labels.csv: 2 rows of the test split are left out",
    )
    assert "expected train, val, valid, validation, dev, test in the column split, found 'no'" in message(
        images, "image,label,split\n1,x,no\n"
    )
    assert "found only images for validation of y" in message(images, "image,label,split\n1,x,train\n3,y,dev\n")


def test_a_column_fold(images: Path) -> None:
    text = "image,label,fold\n1,x,0\n2,x,1\n3,y,0\n4,y,1\n5,y,2.0\n"
    splits = opened(images, text, fold=1)
    assert splits.train.names == ("a/1.png", "b/3.png", "c/5.png")
    assert splits.validation.names == ("a/2.png", "b/4.jpg")
    assert (
        "expected a number that stands in the column fold of IMAGES/labels.csv, found 7, and folds 0, 1, 2 there"
        in (message(images, text, fold=7))
    )
    assert "found 'x'" in message(images, "image,label,fold\n1,x,x\n", fold=1)
    assert "expected data.folds, or a column fold in IMAGES/labels.csv, found 1 without them" in message(
        images, "image,label\n1,x\n", fold=1
    )


def test_a_group_is_on_one_side(images: Path) -> None:
    text = "image,label,patient\n1,x,p\n2,y,p\n3,x,q\n4,y,q\n5,y,q\n"
    splits = opened(images, text, group_column="patient", folds=2, fold=0)
    sides = sorted([splits.train.names, splits.validation.names])
    assert sides == [("a/1.png", "a/2.png"), ("b/3.png", "b/4.jpg", "c/5.png")]
    assert "expected groups for data.folds 3, found 2" in message(images, text, group_column="patient", folds=3, fold=0)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,x\n7,x\n", "2 images are not in IMAGES: 7, 8; train without them with --data.on_corrupt skip"),
        ("1,x\na/1.png,y\n", "found 1 listed again with another label or split: a/1.png (x and y)"),
        ("1,x\n2,\n3, \n", "expected a label in each row, found none in 2 of 3: 2, 3"),
        (
            "1,caf\u00e9\n2,cafe\u0301\n",
            "names of classes that differ to the eye, found 'cafe\\u0301' and 'caf\\xe9' (",
        ),
        ("1,x\n2,x \n", "expected names of classes that differ to the eye, found 'x' and 'x ' ("),
        ('1,"x\ny"\n2,x\n', "of one line and without control characters, found 'x\\ny'; rename it"),
        ("1,x\n,y\n", "expected image names in the column image, found none in row 3"),
    ],
)
def test_rows_that_are_not_as_expected(images: Path, rows: str, said: str) -> None:
    assert said in message(images, "image,label\n" + rows.replace("7,x\n", "7,x\n8,x\n")).replace("2 of 3 ", "2 ")


def test_what_is_counted_and_named(images: Path) -> None:
    splits = opened(images, "image,label\n1,x\n2,x\n1,x\n3,x\n8,x\n", skip_missing=True)
    assert splits.description[2:] == (
        f"{images}/labels.csv: 1 of 5 images are not in {images}: 8; they are left out",
        f"{images}/labels.csv: 1 images are listed twice and count once: 1",
        f"{images}: 2 images are not listed in labels.csv and left out: b/4.jpg, c/5.png",
    )
    assert len(splits.train) + len(splits.validation) == 3


def test_in_an_archive(images: Path) -> None:
    archive = images.with_name("images.zip")
    with zipfile.ZipFile(archive, "w") as file:
        for name in NAMES:
            file.write(images / name, name)
    text = "image,label\n1,x\n2,x\n3,y\n4,y\n"
    plain, packed = opened(images, text), opened(archive, text)
    assert packed.train.names == plain.train.names
    assert packed.train.read(0) == plain.train.read(0)
    np.testing.assert_array_equal(packed.train.labels, plain.train.labels)


def test_the_file_with_labels_may_lie_in_the_archive(images: Path) -> None:
    archive = images.with_name("images.zip")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data/labels.csv", "image,label\n1,x\n2,x\n3,y\n4,y\n5,y\n")
        for name in NAMES:
            file.write(images / name, f"data/{name}")
    splits = Source().open(OpenContext(str(archive), labels="labels.csv"))
    assert sorted(splits.train.names + splits.validation.names) == sorted(NAMES)
    assert splits.description[0].startswith(f"{archive}/data/labels.csv: 5 rows; ")
    assert len(splits.description) == 2


def test_labels_are_of_one_folder(images: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.path: expected one path with data\.labels, found 2"):
        Source().open(OpenContext((str(images), str(images.parent)), labels="labels.csv"))
