from pathlib import Path

import pytest
import shown_epochs

from jaxnext.config.sections import LOGGERS

pytest.importorskip("wandb", reason="needs wandb")


@pytest.mark.filterwarnings("ignore")  # its own
def test_files_are_written_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = shown_epochs.show(LOGGERS.choose("wandb").build(), tmp_path)
    written = sorted(tmp_path.glob(f"wandb/offline-run-*-{run}/run-{run}.wandb"))
    assert written
    text = b"".join(file.read_bytes() for file in written)
    for name in (b"loss/val", b"logits/val", b"first_batch", b"data.path"):
        assert name in text
