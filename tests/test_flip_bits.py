"""Thirty flips of what ``flip_bits`` does by the thousand, and that it would find what is wrong."""

from pathlib import Path

import flip_bits
import pytest

from jaxnext.engine.checkpoint import Checkpoints


@pytest.mark.slow
def test_flipped_bits_are_noticed_or_alter_nothing(tmp_path: Path) -> None:
    counts = flip_bits.flip(30, 0, tmp_path)
    total = flip_bits.Counts()
    for found in counts.values():
        total.add(found)
    assert total.noticed + total.absent + total.unaltered == 30
    assert total.noticed >= 5


def test_what_is_restored_without_a_word_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restore, calls = Checkpoints.restore_last, []

    def altered(self, optimizer):
        calls.append(0)
        variables, moments, progress, meta = restore(self, optimizer)
        return variables, moments, progress | {"calls": len(calls)}, meta

    monkeypatch.setattr(Checkpoints, "restore_last", altered)
    with pytest.raises(
        AssertionError, match=r"^flip \d of seed 0, bit \d of byte \d+ of .*: something else was restored"
    ):
        flip_bits.flip(20, 0, tmp_path)
