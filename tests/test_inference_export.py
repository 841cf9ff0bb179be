import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxnext
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.file_digests import check_file, check_sums
from jaxnext.inference.export import export, read_net
from jaxnext.inference.export_check import Comparison
from jaxnext.inference.exporter import FORMATS, Net
from jaxnext.inference.exporters import pth, safetensors, stablehlo


@pytest.fixture(scope="module")
def net(run: Path) -> Net:
    return read_net(run)


@dataclasses.dataclass(frozen=True)
class Told:
    """An exporter that writes a file and answers as it was told; it calls for each use."""

    answer: Any = None
    note: Callable[[str], None] = lambda _: None

    def check(self) -> None:
        self.note("check")

    def write(self, net: Net, output: Path) -> None:
        self.note(f"write {output.name}")
        if output.name == "folder":
            output.mkdir()
            output /= "net"
        output.write_text("new")

    def run(self, net: Net, output: Path, images: Any) -> Any:
        self.note(f"run {output.name} {len(images)}")
        return self.answer


def exported(net: Net, exporter: Any, output: Path, **options: Any) -> tuple[Comparison | None, list[str]]:
    lines: list[str] = []
    return export(net, exporter, output, say=lines.append, warn=lines.append, **options), lines


def test_it_is_compared_before_it_is_said_to_be_done(net: Net, images: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.stablehlo"
    found, lines = exported(net, stablehlo.Exporter(), output, images=[images / "test"], classes=tmp_path / "names.txt")
    assert found is not None
    assert found.error < 1e-5
    assert lines == [
        f"{output}: 24 given images, largest error {found.error:.1e} of the largest logit, labels equal",
        f"{tmp_path / 'names.txt'}: 12 class names",
    ]
    assert (tmp_path / "names.txt").read_text().splitlines() == list(net.classes)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["names.txt", "net.stablehlo"]


def test_what_answers_otherwise_gets_no_name(net: Net, tmp_path: Path) -> None:
    events: list[str] = []
    with pytest.raises(JaxnextError, match=r"net\.x: expected the net's logits to 0\.0001 of the largest, found them"):
        exported(net, Told(np.zeros((8, 12)), events.append), tmp_path / "net.x")
    assert events == ["check", "write net.x", "run net.x 8"]
    assert list(tmp_path.iterdir()) == []


def test_without_the_runtime_it_says_that_nothing_was_compared(net: Net, tmp_path: Path) -> None:
    output = tmp_path / "new" / "net.x"
    assert exported(net, Told(), output) == (
        None,
        [f"{output}: written, but not compared: the format's own runtime is not installed"],
    )
    assert output.read_text() == "new"


def test_what_is_there_stays_unless_it_may_go(net: Net, tmp_path: Path) -> None:
    file, folder = tmp_path / "net.x", tmp_path / "folder"
    file.write_text("old")
    folder.mkdir()
    for path, kind in ((file, "a file"), (folder, "a folder")):
        with pytest.raises(JaxnextError) as error:
            exported(net, Told(), path)
        sentence = f"{path}: expected nothing there yet, found {kind}; --output another, or --overwrite true"
        assert str(error.value) == sentence
    with pytest.raises(JaxnextError, match=r"found a file; --classes another, or --overwrite true$"):
        exported(net, Told(), tmp_path / "other", classes=file)
    assert file.read_text() == "old"
    exported(net, Told(), file, overwrite=True)
    assert file.read_text() == "new"
    (folder / "mine").write_text("")
    with pytest.raises(JaxnextError, match=r"folder: expected an earlier export to replace, found mine$"):
        exported(net, Told(), folder, overwrite=True)
    (folder / "mine").rename(folder / "net")
    exported(net, Told(), folder, overwrite=True)
    assert (folder / "net").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "net.x", "net.x.sha256"]
    assert list(check_sums(folder)) == [(str(folder / "net"), None)]


def test_a_file_has_its_digest_in_it_or_beside_it(net: Net, tmp_path: Path) -> None:
    file, digest = tmp_path / "net.x", tmp_path / "net.x.sha256"
    exported(net, Told(), file)
    assert digest.read_text() == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437  net.x\n"
    file.unlink()
    with pytest.raises(JaxnextError) as error:
        exported(net, Told(), file)
    assert str(error.value) == (
        f"{digest}: expected nothing there yet, found a file; --output another, or --overwrite true"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["net.x.sha256"]
    exported(net, safetensors.Exporter(), file, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["net.x"]
    assert check_file(file) == (str(file), None)


def test_mistakes(net: Net, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--images: expected a format that computes, found one of weights"):
        exported(net, pth.Exporter(), tmp_path / "x", images=[tmp_path])
    headless = net._replace(classes=(), meta=dataclasses.replace(net.meta, trained=("backbone",)))
    with pytest.raises(JaxnextError) as error:
        exported(headless, Told(), tmp_path / "x")
    assert str(error.value) == (
        f"{net.checkpoint}: expected a trained head, found the parts backbone; pth and safetensors hold weights "
        "without one"
    )
    with pytest.raises(JaxnextError, match=r"^/: expected the name of a file, found a folder$"):
        exported(net, Told(), Path("/"), overwrite=True)
    with pytest.raises(UsageError, match=r"^temperature: expected calibrated or a number above 0, found 0$"):
        read_net(net.checkpoint, temperature=0)
    assert list(tmp_path.iterdir()) == []


def test_a_net_trained_in_bfloat16_is_exported_in_float32(net: Net, tmp_path: Path) -> None:
    config = dataclasses.replace(net.meta.config, precision="bfloat16")
    _, lines = exported(net._replace(meta=dataclasses.replace(net.meta, config=config)), Told(), tmp_path / "net.x")
    assert lines[0] == f"{net.checkpoint}: was trained in bfloat16, and is exported and compared in float32"


def test_a_classifier_exports_itself(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr("jaxnext.inference.export.export", lambda *args, **options: given.append((args, options)))
    classifier = jaxnext.load(run, "last", temperature=3)
    classifier.export(str(tmp_path / "net.pth"), "stablehlo", images=["a.jpg"], overwrite=True, say=print)
    (((net, exporter, output), options),) = given
    assert (net.checkpoint, net.temperature, net.pixels) == (run, 3.0, classifier.pixels)
    assert (exporter, output) == (stablehlo.Exporter(), tmp_path / "net.pth")
    assert options == {"images": [Path("a.jpg")], "overwrite": True, "say": print, "warn": print}
    names = ", ".join(FORMATS.names())
    with pytest.raises(UsageError, match=f"^format: expected one of {names}, found 'h5'; did you mean "):
        classifier.export("net.h5")
    with pytest.raises(UsageError, match=r"^unknown key format.opset: pth has no options$"):
        classifier.export("net.pth", opset=18)
    with pytest.raises(UsageError, match=r"^export: expected one net, found an ensemble of 2; export one at a time"):
        jaxnext.load([run, run]).export("net.pth")
