import errno

import pytest

from jaxnext.data.bad_image import BadImage, CorruptImage, bad_image
from jaxnext.errors import JaxnextError


def test_the_sentence_can_be_printed_whatever_the_name() -> None:
    assert str(BadImage("d/caf\udce9.jpg", "truncated")) == r"d/caf\udce9.jpg: the image cannot be read (truncated)"


def test_why_an_image_cannot_be_read() -> None:
    assert bad_image("a", CorruptImage("the file is empty")) == ("a", "the file is empty")
    gone = FileNotFoundError(2, "No such file or directory", "a.png")
    assert bad_image("a", gone) == ("a", "No such file or directory")
    assert bad_image("a", PermissionError(13, "Permission denied")) == ("a", "Permission denied")
    assert bad_image("a", OSError("the record is short")) == ("a", "the record is short")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.ENOMEM])
def test_a_fault_that_is_not_the_images(number: int) -> None:
    with pytest.raises(JaxnextError) as error:
        bad_image("d/a.jpg", OSError(number, "Something"))
    assert str(error.value) == (
        "d/a.jpg: reading has failed (Something), for no fault of the image; put that right and start again"
    )
