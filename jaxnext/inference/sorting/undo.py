"""A sort taken back: every image where it was, and nothing else touched."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from jaxnext.data.corrupt_list import check_corrupt, write_corrupt
from jaxnext.errors import JaxnextError, printable
from jaxnext.inference.sorting.journal import ERRORS, TABLE, UNDOING, Journal, Placement
from jaxnext.inference.sorting.lock import LOCK, locked
from jaxnext.inference.sorting.placing import file_digest, finish_move, forget_reservation, is_link_to, move
from jaxnext.inference.sorting.recovery import recover

LEFT_STATUS = 1
"""Exit status where something stays where it was sorted to."""


def undo(
    folder: Path,
    *,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    progress: Callable[[Iterable[Placement], int], Iterable[Placement]],
) -> int:
    """Take a sort back: images that were moved go back, copies and links are removed, then folders that are empty.

    A copy that was changed since stays, as does an image whose old place is taken; each is named, and keeps its row in
    the table. Cut off anywhere, it goes on when it is called again.

    Args:
        folder: that was sorted into.
        say: shows a line to the user.
        warn: the same, for what stays.
        progress: wraps the placements, given their number, in a progress bar.

    Returns:
        the exit status: 0, or 1 where something stays.

    Raises:
        JaxnextError: no sorted folder, another process that sorts into it, or a disk that fails.
    """
    if not (folder / TABLE).is_file() and not (folder.is_dir() and Journal(folder).settings()):
        raise JaxnextError(f"{folder}: expected a folder with {TABLE}, the table of an earlier sort, found none")
    with locked(folder):
        journal = Journal(folder)
        check_corrupt(folder / ERRORS)
        rows = recover(journal)
        settings = journal.settings() or {}
        was_cut_off = settings.pop(UNDOING, False)
        journal.write_settings({**settings, UNDOING: True})
        left: list[Placement] = []
        # The last first: where two images had one place after another, each goes back to its own.
        for row in progress(rows[::-1], len(rows)):
            if reason := _take_back(row, folder, was_cut_off):
                warn(printable(reason))
                left.append(row)
        write_corrupt(folder / ERRORS, [])
        _remove_empty(folder / row.destination.partition("/")[0] for row in rows)
        if left:
            journal.write(left[::-1])
            journal.write_settings(settings)
        else:
            journal.remove()
            (folder / LOCK).unlink()
            _remove_empty([folder])
    say(f"{folder}: {len(rows) - len(left):,} images taken back")
    if left:
        warn(f"{journal.table}: {len(left):,} of {len(rows):,} images stay where they were sorted to")
    return LEFT_STATUS if left else 0


def _take_back(row: Placement, folder: Path, was_cut_off: bool) -> str | None:
    """Take one image back; return what stays, and why, or ``None``. What has been taken back before is left alone."""
    origin, target = Path(row.source), folder / row.destination
    try:
        if row.mode == "move":
            return _move_back(target, origin, was_cut_off)
        if not os.path.lexists(target):
            return None
        if row.mode == "link" and not is_link_to(target, origin):
            return f"{target}: expected the link to {origin}, found something else; it stays"
        if row.mode == "copy" and file_digest(target) != row.sha256:
            return f"{target}: expected the copy of {origin}, found it changed; it stays"
        target.unlink()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise JaxnextError(f"{target}: it cannot be taken back ({error.strerror or error})") from error
        return f"{target}: it cannot be taken back ({error.strerror})"
    return None


def _move_back(target: Path, origin: Path, was_cut_off: bool) -> str | None:
    if was_cut_off and os.path.lexists(target):
        forget_reservation(origin)
    if os.path.lexists(origin):
        # The move back may have been cut off between the two names.
        if not os.path.lexists(target) or finish_move(target, origin):
            return None
        return f"{origin}: expected nothing in the old place of {target}, found another file; both stay"
    if not os.path.lexists(target):
        return f"{target}: expected the image that was {origin}, found neither"
    origin.parent.mkdir(parents=True, exist_ok=True)
    try:
        move(target, origin)
    except FileExistsError:
        return f"{origin}: expected nothing in the old place of {target}, found another file; both stay"
    return None


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in sorted(set(folders)):
        with contextlib.suppress(OSError):
            folder.rmdir()
