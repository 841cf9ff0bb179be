"""Not answering where the net is not sure."""

from collections.abc import Sequence

from jaxnext.errors import UsageError

UNKNOWN = "unknown"
"""What is written instead of a class."""


def check_threshold(threshold: float, classes: Sequence[str]) -> None:
    """Refuse a threshold that cannot be meant.

    Raises:
        UsageError: not above 0 and at most 1; or a class has the name that is written below it.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold: expected a probability above 0 and at most 1, found {threshold}")
    if UNKNOWN in classes:
        raise UsageError(
            f"--threshold: expected classes of other names than {UNKNOWN!r}, which is written below the threshold, "
            "found one of this name"
        )


def answer(label: str, probability: float, threshold: float | None) -> str:
    """Return the label, or ``UNKNOWN`` where its probability is below the threshold; with ``None`` always the label."""
    return label if threshold is None or probability >= threshold else UNKNOWN
