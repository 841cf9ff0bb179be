import pytest

from jaxnext.inference.serving.refusal import Refusal
from jaxnext.inference.serving.room import Room


def test_shares_are_given_back() -> None:
    room = Room(10, "it is full")
    with room.share() as one, room.share() as other:
        one.take(6)
        other.take(4)
        with pytest.raises(Refusal, match=r"^it is full$") as error:
            one.take(1)
        assert (error.value.status, error.value.headers) == (503, {"retry-after": "1"})
        assert room.taken == 10
    assert room.taken == 0


def test_a_share_may_be_given_back_early() -> None:
    room = Room(10, "it is full")
    with room.share() as share:
        share.take(5)
        share.give_back()
        assert room.taken == 0
        share.take(3)
    assert room.taken == 0
