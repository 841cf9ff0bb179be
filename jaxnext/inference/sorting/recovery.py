"""What a sort that was cut off has left half done: finished, or as if it had not been begun."""

import os
from pathlib import Path

from jaxnext.inference.sorting.journal import Journal, Placement
from jaxnext.inference.sorting.placing import file_digest, finish_move, forget_reservation, is_link_to, part_of


def recover(journal: Journal) -> list[Placement]:
    """Return all that is in its new place, after the table has got the rows that it lacked.

    Nothing is lost by it: of a move that is half done the old name goes where the new one has the same content.
    """
    rows = journal.read()
    known = {row.destination for row in rows}
    found = [row for row in journal.begun() if row.destination not in known and _finish(row, journal.folder)]
    if found:
        journal.append(found)
    journal.end()
    return rows + found


def _finish(row: Placement, folder: Path) -> bool:
    """Return whether an image is in its new place."""
    origin, target = Path(row.source), folder / row.destination
    if row.mode == "link":
        return is_link_to(target, origin)
    if row.mode == "move":
        if finish_move(origin, target):
            return True
    else:
        part_of(target).unlink(missing_ok=True)
        if file_digest(target) == row.sha256:
            return True
    if os.path.lexists(target):
        forget_reservation(target)
    return False
