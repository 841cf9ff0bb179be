"""Ranges of the options of attentions and heads."""

from jaxnext.errors import UsageError


def check_option(holds: bool, key: str, expected: str, found: object) -> None:
    """Refuse the value of an option that is out of range.

    Args:
        holds: whether it is in range.
        key: of the config, such as ``model.head.dropout``.
        expected: what the range is.
        found: the value.

    Raises:
        UsageError: with all of these.
    """
    if not holds:
        raise UsageError(f"{key}: expected {expected}, found {found!r}")
