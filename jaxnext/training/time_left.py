"""How long a run still takes, as a line says it."""


def time_left(seconds: float, epochs: int) -> str:
    """Return the end of an epoch's line: how long the other epochs take, all as long as this one; nothing at the end.

    Args:
        seconds: that the epoch took.
        epochs: that are left.
    """
    if epochs <= 0:
        return ""
    left = seconds * epochs
    if left < 90:
        return f"; about {left:.0f} s left"
    return f"; about {left / 60:.0f} min left" if left < 90 * 60 else f"; about {left / 3600:.1f} h left"
