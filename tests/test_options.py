import pytest

from jaxnext.errors import UsageError
from jaxnext.models.options import check_option


def test_a_value_out_of_range_is_named() -> None:
    check_option(True, "model.head.x", "at least 1", 1)
    with pytest.raises(UsageError) as error:
        check_option(False, "model.head.x", "at least 1", "0")
    assert str(error.value) == "model.head.x: expected at least 1, found '0'"
