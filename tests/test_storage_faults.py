"""Each place that writes, on a disk that refuses: one sentence or one line, and what was there before is there after.

A table of what is written, and of faults. That a process ends with status 1 is that of ``JaxnextError`` (``main``).
"""

import functools
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import packed_images
import pytest
import sorted_images
from faulty_disk import SAID, Disk, contents, small_disk
from matplotlib.figure import Figure
from PIL import Image
from predicted import predictions
from square import square
from test_checkpoint import meta_of, moments_of, variables_of
from test_compiled_steps import host_batch
from test_inference_calibration import calibration
from test_inference_export import Told
from test_monitor import HISTORY, Seen, logs, monitor_of

from jaxnext.data.bad_image import BadImage
from jaxnext.data.cache.disk import open_disk
from jaxnext.data.corrupt_list import write_corrupt
from jaxnext.data.folder_source import files_source
from jaxnext.data.index_file import IndexFile
from jaxnext.data.loader import HostBatch
from jaxnext.engine import run_folder
from jaxnext.engine.checkpoint import Checkpoints
from jaxnext.errors import JaxnextError
from jaxnext.inference import overlays
from jaxnext.inference.calibration import write_calibration
from jaxnext.inference.embedding_file import embedding_file
from jaxnext.inference.export import export
from jaxnext.inference.exporter import Net
from jaxnext.inference.predict import predict_to_csv
from jaxnext.reporting import curves, evaluation_files
from jaxnext.reporting.evaluation_files import write_evaluation
from jaxnext.reporting.figures import Figures, figures
from jaxnext.weights.export import export_weights

assert logs  # a fixture

Lines = list[str]


class Writer(NamedTuple):
    """What is written."""

    write: Callable[[Path, int, Lines], Any]
    """writes into a folder for the first or the second time, with other content, and notes lines for the user"""
    sentence: str
    """pattern of the error or line, where ``{why}`` is what the system says"""
    ends: bool = True
    """whether it is an error, and no line with which the command goes on"""
    may_add: str = r"(?!)"
    """pattern of files that may be there more than before: work that the next call goes on with"""
    partly: str = r"(?!)"
    """pattern of files that have, after some of the operations, part of what is new"""
    step: int = 1
    """between the operations that are tried"""
    gone_after: int = 0
    """operations after which the folder is removed: a lock, and what makes folders, begins anew"""


def images_in(folder: Path) -> Path:
    """Three images in a folder beside the one that is written into."""
    place = folder.parent / "images"
    place.mkdir(exist_ok=True)
    for number in range(3):
        Image.fromarray(np.full((9, 7, 3), 40 * number, np.uint8)).save(place / f"{number}.png")
    return place


def write_best(folder: Path, number: int, lines: Lines) -> None:
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_model("best", number, variables_of(number), meta_of(number))


def write_last(folder: Path, number: int, lines: Lines) -> None:
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_last(number, variables_of(number), moments_of(number), {"position": number}, meta_of(1))


def write_metrics(folder: Path, number: int, lines: Lines) -> None:
    run_folder.write_metrics(folder, HISTORY[:number])


def write_config(folder: Path, number: int, lines: Lines) -> None:
    run_folder.start(folder, meta_of(number).config)


def draw(folder: Path, number: int, lines: Lines) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "curve", lambda history, name: Figure((1, number)))
        monitor_of(folder, lines).curves(HISTORY[: number + 1])


def first_batch(folder: Path, number: int, lines: Lines) -> None:
    image = np.full((5, 4, 4, 3), number / 9, np.float32)
    steps = SimpleNamespace(pictured=lambda host, step: SimpleNamespace(image=image, partner=None, shares=None))
    monitor_of(folder, lines, steps).first_batch(host_batch())


def page(folder: Path, number: int, lines: Lines) -> None:
    if number == 1:
        write_metrics(folder, 3, [])
        write_config(folder, 1, [])
        run_folder.write_json(folder / "run.json", {"train_images": 1, "val_images": 1, "classes": ["a"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxnext.reporting.live_page.live_page", lambda *_: f"page {number}")
        monitor_of(folder, lines)._page(None)


def loggers(folder: Path, number: int, lines: Lines) -> None:
    with monitor_of(folder, lines).watching(HISTORY[:number], False):
        pass


def cache_new(folder: Path, number: int, lines: Lines) -> None:
    images = images_in(folder)
    open_disk(folder / f"cache{number}", files_source([images]), square(5), "monday")


def cache_fill(folder: Path, number: int, lines: Lines) -> None:
    store, _ = open_disk(folder, files_source([images_in(folder)]), square(5), "monday")
    store.put(number, store.source.stamp(number), np.full((5, 5, 3), number, np.uint8))
    store.flush()


def index(folder: Path, number: int, lines: Lines) -> None:
    file = IndexFile(folder, "key", "the listing")
    if isinstance(time := file.time(), OSError):
        lines.append(file.unwritable(time))
    else:
        file.write({"a": np.arange(number)}, {"b": ["x"]}, lines)


def csv(folder: Path, number: int, lines: Lines) -> None:
    class OfNumber:
        classes, image_size = ("a", "b"), 8

        def stream(self, source: Any, *_: Any, **__: Any) -> Any:
            count = len(source)
            found = np.tile(np.eye(2, dtype=np.float32)[number - 1], (count, 1))
            ids = np.arange(count)
            yield HostBatch(0, np.zeros((count, 8, 8, 3), np.uint8), ids * 0, ids >= 0, ids, ()), found

    predict_to_csv(
        OfNumber(),  # pyright: ignore[reportArgumentType]
        [images_in(folder)],
        folder / "prediction.csv",
        probabilities=True,
        top_k=None,
        batch_size=4,
        workers=0,
        keep_extension=True,
        columns=("image", "label"),
        cores=1,
        say=lambda line: None,
        warn=lines.append,
        progress=lambda batches, total: batches,
    )


def vectors(folder: Path, number: int, lines: Lines) -> None:
    with embedding_file(folder / "vectors.npz") as add:
        add(["a", "b"], np.full((2, 3), number, np.float32))


def maps(folder: Path, number: int, lines: Lines) -> None:
    net = SimpleNamespace(maps=lambda images, *_: np.full(images.shape[:3], number / 4, np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlays, "only_net", lambda *_: net)
        wanted = overlays.Explanation(folder / "maps", "gradcam")
        names = [f"{i}.png" for i in range(5)]
        draw = overlays.overlay_writer(net, wanted, [folder.parent / "images"], names, 8)  # pyright: ignore
        draw(host_batch(), np.ones((5, 2), np.float32))


def corrupt(folder: Path, number: int, lines: Lines) -> None:
    write_corrupt(folder / "corrupt.csv", [BadImage(f"{number}.jpg", "empty")])


@functools.cache
def some_figures() -> Figures:
    return figures(predictions(20), 0, 10)


def evaluation(folder: Path, number: int, lines: Lines) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_files, "figures", lambda *_: some_figures())
        patch.setattr(evaluation_files, "confusion_picture", lambda *_: Figure((1, 1)))
        write_evaluation(predictions(20, seed=number), folder)


def packing(folder: Path, number: int, lines: Lines) -> None:
    images = packed_images.write_folder(folder.parent / "split", {"train": 1, "val": 1})
    packed_images.pack_folder(images, folder, name=f"set{number}")


def net_of(number: int) -> Net:
    meta = meta_of(1)
    return Net(Path("/runs/a"), None, variables_of(number), meta.classes or (), meta, square(8))  # pyright: ignore


def exported(folder: Path, number: int, lines: Lines) -> None:
    class Written(Told):
        def write(self, net: Net, output: Path) -> None:
            output.write_text(f"net {number}")

        def run(self, net: Net, output: Path, images: Any) -> Any:
            return None

    given = {"say": lambda line: None, "warn": lambda line: None, "overwrite": True, "classes": folder / "names.txt"}
    export(net_of(number), Written(), folder / "net.onnx", **given)


def weights(form: Any) -> Callable[[Path, int, Lines], Any]:
    def write(folder: Path, number: int, lines: Lines) -> None:
        leaves = {("params", "head", "output", "bias"): np.full(4, number, np.float32)}
        export_weights(leaves, meta_of(1), folder / f"net.{form}", form, "/runs/a")

    return write


def calibrated(folder: Path, number: int, lines: Lines) -> None:
    write_calibration(folder, "best", calibration(float(number)))


def sorting(folder: Path, number: int, lines: Lines) -> None:
    data = sorted_images.write_data(folder.parent / "data")
    if number == 1:
        for path in (data / "two").iterdir():
            path.rename(data / f"later-{path.name}")
    else:
        for path in data.glob("later-*"):
            path.rename(data / "two" / path.name.removeprefix("later-"))
    sorted_images.sort([data / "one", data / "two"], folder)


def whole_page(folder: Path, number: int, lines: Lines) -> None:
    run_folder.write_text(folder / "report.html", f"page {number}")


FILE = "{place}{name}: the file cannot be written \\({why}\\)"


def a_file(name: str) -> str:
    return FILE.replace("{name}", re.escape(name))


CHECKPOINT = r"checkpoints/(best|last)/2(/.*)?"
CACHE = (
    r"{place}[\w/]+: the decoded cache cannot be used \({why}\); what it holds stays right; put that right and go on "
    r"with --resume auto, give another --data\.cache_path, or set --data\.cache none"
)
WRITERS = {
    "checkpoint best": Writer(
        write_best,
        r"{place}checkpoints/best: the checkpoint cannot be written \({why}\)",
        gone_after=9,
        step=7,
        may_add=CHECKPOINT,
    ),
    "checkpoint last": Writer(
        write_last,
        r"{place}checkpoints/last: the checkpoint cannot be written \({why}\)",
        gone_after=9,
        step=7,
        may_add=CHECKPOINT,
    ),
    "metrics": Writer(write_metrics, a_file("metrics.jsonl")),
    "config": Writer(write_config, a_file("config.yaml")),
    "curves": Writer(draw, r".+: its curves: the run goes on without it \(.+{why}\)\)", ends=False),
    "first batch": Writer(first_batch, r"first_batch.png: the run goes on without it \(.+{why}\)\)", ends=False),
    "page": Writer(page, r"report.html: the run goes on without it \(.+{why}\)\)", ends=False),
    "loggers": Writer(
        loggers, r"loggers.json: the run goes on without it \(.+{why}\)\)", ends=False, partly=r"loggers\.json"
    ),
    "new cache": Writer(cache_new, CACHE, may_add=r"cache2(/\w+(/[\w.]+)?)?"),
    "cache": Writer(cache_fill, CACHE, partly=r"\w+/(pixels|stamps|digests)\.bin"),
    "index": Writer(index, r"warning: .+: the listing: the file cannot be written \({why}\), so that .+", ends=False),
    "prediction": Writer(csv, a_file("prediction.csv")),
    "embeddings": Writer(vectors, a_file("vectors.npz")),
    "maps": Writer(maps, a_file("maps/0.png.gradcam.jpg"), may_add=r"maps"),
    "corrupt images": Writer(corrupt, a_file("corrupt.csv")),
    "evaluation": Writer(evaluation, a_file("predictions.csv")),
    "packing": Writer(packing, r"{place}(set2)?[^:]*: .+{why}.*", may_add=r"set2(/incomplete.*)?", gone_after=1),
    "export": Writer(exported, r"{place}net.onnx: the export cannot be written \({why}\)"),
    "pth": Writer(weights("pth"), a_file("net.pth")),
    "safetensors": Writer(weights("safetensors"), a_file("net.safetensors")),
    "calibration": Writer(calibrated, a_file("calibration.json")),
    "sort": Writer(sorting, r"{place}[^:]*: .+ \(?{why}\)?", partly=r"sorted\.csv", gone_after=3),
    "report": Writer(whole_page, a_file("report.html")),
}


def faulty(writer: Writer, folder: Path, fault: str, after: int) -> tuple[int, bool, Lines]:
    """Write for the second time on a faulty disk.

    Returns:
        how often it refused; whether the writing ended in an error; the error, or the lines for the user.
    """
    lines: Lines = []
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, folder, fault, after)
        try:
            writer.write(folder, 2, lines)
        except JaxnextError as error:
            return disk.refused, error.exit_status == 1, [str(error)]
    return disk.refused, False, lines


def begun(writer: Writer, folder: Path) -> dict[str, bytes | None]:
    """Write for the first time; return what is there then."""
    lines: Lines = []
    folder.mkdir(parents=True)
    writer.write(folder, 1, lines)
    assert lines == []
    return contents(folder)


@pytest.mark.draws_curves
@pytest.mark.parametrize(
    # Its figures take as long as all others together.
    "what",
    [pytest.param(what, marks=[pytest.mark.slow] * (what == "evaluation")) for what in WRITERS],
)
def test_what_was_there_before_is_there_after(what: str, tmp_path: Path, logs: dict[str, Seen]) -> None:
    writer, folder = WRITERS[what], tmp_path / "out"
    before = begun(writer, folder)
    for fault in SAID:
        refused, ended, lines = faulty(writer, folder, fault, writer.gone_after if fault == "gone" else 0)
        assert refused, fault
        assert (ended, len(lines)) == (writer.ends, 1), fault
        expected = writer.sentence.replace("{place}", f"{re.escape(str(folder))}/?")
        assert re.fullmatch(expected.replace("{why}", re.escape(SAID[fault])), lines[0]), fault
        if fault != "gone":
            after = contents(folder)
            assert {name: after.get(name) for name in before} == before, fault
            added = [name for name in after if name not in before and not re.fullmatch(writer.may_add, name)]
            assert added == [], fault
    # As soon as the disk is well, it is written as ever.
    said: Lines = []
    writer.write(folder, 1, said)
    writer.write(folder, 2, said)
    assert said == []


@pytest.mark.slow
@pytest.mark.draws_curves
@pytest.mark.parametrize("what", WRITERS)
def test_at_every_operation(what: str, tmp_path: Path, logs: dict[str, Seen]) -> None:
    """Files are as they were, or as they become: a disk fills up, or breaks, at the first, second, third, ... write."""
    writer = WRITERS[what]
    begun(writer, tmp_path / "whole" / "out")
    writer.write(tmp_path / "whole" / "out", 2, [])
    whole = contents(tmp_path / "whole" / "out")
    for fault in ("ENOSPC", "EIO"):
        for number in range(0, 999, writer.step):
            folder = tmp_path / f"{fault}{number}" / "out"
            before = begun(writer, folder)
            refused, ended, lines = faulty(writer, folder, fault, number)
            if not refused:
                assert number
                break
            after = contents(folder)
            place = f"{fault} {number}: {lines}"
            assert (ended, len(lines)) == (writer.ends, 1), place
            assert SAID[fault] in lines[0], place
            changed = [name for name in before if after.get(name) not in (before[name], whole.get(name))]
            assert [name for name in changed if not re.fullmatch(writer.partly, name)] == [], place
            added = {name: after[name] for name in after if name not in before and name in whole}
            added = [name for name, content in added.items() if content != whole[name]]
            added += [
                name for name in after if name not in (before | whole) and not name.rpartition("/")[2].startswith(".")
            ]
            assert [name for name in added if not re.fullmatch(writer.may_add, name)] == [], place


def test_a_full_disk_is_said_without_what_the_library_prints(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of sixty arrays some are still being written when the first has failed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    arrays = {"params": {"head": {f"w{i}": np.full((30, 30), i + 0.5) for i in range(60)}}}
    # Orbax has its threads of all sizes at work.
    with small_disk(disk, "8k"), Checkpoints(disk / "run") as checkpoints:
        for number in (1, 2):
            with pytest.raises(JaxnextError) as error:
                checkpoints.save_last(number, arrays, arrays, {"position": number}, meta_of(1))
            assert str(error.value) == (
                f"{disk}/run/checkpoints/last: the checkpoint cannot be written (No space left on device)"
            )
            assert list((disk / "run/checkpoints/last").iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_disk_that_fills_up_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    large = {"params": {"head": {"w": np.random.default_rng(0).random(40_000)}}}
    with small_disk(disk, "400k"), Checkpoints(disk / "run") as checkpoints:
        checkpoints.save_last(1, variables_of(1), moments_of(1), {"position": 1}, meta_of(1))
        before = contents(disk)
        with pytest.raises(JaxnextError, match=r"cannot be written \(No space left on device\)$"):
            checkpoints.save_last(2, large, large, {"position": 2}, meta_of(1))
        assert contents(disk) == before
        checkpoints.save_last(2, variables_of(2), moments_of(2), {"position": 2}, meta_of(1))
        assert checkpoints.latest("last") == 2


@pytest.mark.slow
def test_shards_on_a_full_disk(tmp_path: Path) -> None:
    """They are written by a library's own code, which no function of Python's can refuse."""
    images = packed_images.write_folder(tmp_path / "split", {"train": 4, "val": 1})
    disk = tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk, "64k"):
        (disk / "other").write_bytes(bytes(36_000))
        with pytest.raises(JaxnextError, match=r"cannot be written \(.*No space left on device"):
            packed_images.pack_folder(images, disk / "packed", name="set")
        assert [name for name in contents(disk / "packed") if ".array_record-" in name] == []
        (disk / "other").unlink()
        # 1 MB is what TFDS and the shards need.
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        assert packed_images.pack_folder(images, disk / "packed", name="set").finished
