from pathlib import Path

import safetensors

from jaxnext.inference.export import read_net
from jaxnext.inference.exporters.safetensors import Exporter


def test_the_file_says_what_it_holds(run: Path, tmp_path: Path) -> None:
    Exporter().write(read_net(run, "last"), tmp_path / "net.safetensors")
    with safetensors.safe_open(tmp_path / "net.safetensors", "np") as file:
        assert sorted(file.metadata()) == ["classes", "format", "preprocessing", "sha256"]
        assert (len(file.keys()), file.get_tensor("fc.8.weight").shape) == (49, (12, 64))
