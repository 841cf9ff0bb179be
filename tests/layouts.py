"""One set of images in every way that people keep theirs."""

import csv
import io
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from jaxnext.config.sections import SOURCES

SPLITS = ("train", "val")
LAYOUTS = ("renamed", "csv", "zip", "tar", "shards", "parquet")


def archived(path: Path, root: Path) -> Path:
    """An archive of all files below a folder."""
    files = sorted(file for file in root.rglob("*") if file.is_file())
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for each in files:
                file.write(each, each.relative_to(root))
    else:
        with tarfile.open(path, "w") as file:
            for each in files:
                file.add(each, each.relative_to(root))
    return path


def written(layout: str, images: Path, folder: Path) -> dict[str, Any]:
    """Write class folders in ``train/`` and ``val/`` anew; return the settings of ``data`` that read them.

    Args:
        layout: one of ``LAYOUTS``, or ``folder``.
        images: the folder of these.
        folder: that receives what is written.
    """
    files = {split: sorted((images / split).glob("*/*")) for split in SPLITS}
    if layout == "folder":
        return {"path": str(images)}
    folder.mkdir()
    if layout == "renamed":
        for split, name in zip(SPLITS, ("Train", "dev"), strict=True):
            shutil.copytree(images / split, folder / name)
        return {"path": str(folder)}
    if layout in ("zip", "tar"):
        return {"path": str(archived(folder / f"images.{layout}", images))}
    return {"csv": _csv, "shards": _shards, "parquet": _parquet}[layout](files, folder)


def _csv(files: dict[str, list[Path]], folder: Path) -> dict[str, Any]:
    (folder / "pool").mkdir()
    rows = [("id", "label", "split")]
    for split, paths in files.items():
        for path in reversed(paths):
            name = f"{split}-{path.parent.name}-{path.stem}"
            shutil.copy(path, folder / "pool" / f"{name}{path.suffix}")
            rows.insert(1 + len(rows) // 2, (name, path.parent.name, split))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return {"path": str(folder / "pool"), "labels": str(folder / "labels.csv")}


def _shards(files: dict[str, list[Path]], folder: Path) -> dict[str, Any]:
    for split, paths in files.items():
        for shard in range(2):
            with tarfile.open(folder / f"{split}-{shard}.tar", "w") as file:
                half = (len(paths) + 1) // 2
                for number in range(len(paths))[half * shard : half * (shard + 1)]:
                    path = paths[number]
                    for kind, data in (("jpg", path.read_bytes()), ("cls", path.parent.name.encode())):
                        info = tarfile.TarInfo(f"{number:04d}.{kind}")
                        info.size = len(data)
                        file.addfile(info, io.BytesIO(data))
    return {"path": str(folder), "source": SOURCES.choose("webdataset")}


def _parquet(files: dict[str, list[Path]], folder: Path) -> dict[str, Any]:
    library: Any = pytest.importorskip("datasets")
    features = library.Features({"image": library.Image(), "label": library.Value("string")})
    for split, paths in files.items():
        rows = {
            "image": [{"bytes": path.read_bytes(), "path": None} for path in paths],
            "label": [path.parent.name for path in paths],
        }
        library.Dataset.from_dict(rows, features=features).to_parquet(str(folder / f"{split}-0.parquet"))
    return {"path": str(folder), "source": SOURCES.choose("huggingface")}
