import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shown_epochs

from jaxnext.config.sections import LOGGERS

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2", reason="needs tensorboardX")


def events(folder: Path) -> Iterator[Any]:
    """The events of a folder's files in the order of their names: length, its checksum, event, its checksum."""
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def test_events_go_on_in_the_same_folder(tmp_path: Path) -> None:
    assert shown_epochs.show(LOGGERS.choose("tensorboard").build(), tmp_path) == "tensorboard"
    values = [(event.step, value) for event in events(tmp_path / "tensorboard") for value in event.summary.value]
    assert sorted((step, value.tag, value.WhichOneof("value")) for step, value in values) == [
        (0, "first_batch", "image"),
        (1, "logits/val", "histo"),
        (1, "loss/val", "simple_value"),
        (2, "loss/val", "simple_value"),
    ]
    assert sorted(value.simple_value for _, value in values if value.tag == "loss/val") == [0.5, 1.5]
    (image,) = (value.image for _, value in values if value.tag == "first_batch")
    assert (image.height, image.width) == (4, 4)
    starts = [event.step for event in events(tmp_path / "tensorboard") if event.session_log.status]
    assert starts == [2]
