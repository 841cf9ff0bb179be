"""The directory of a zip archive: as ``zipfile`` reads it, in the 64-bit form, and built to take time or memory."""

import io
import random
import struct
import time
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.zip_directory import MAX_MEMBERS, read_directory, read_member

MEMBERS = {"archive/data.pkl": b"pickle", "archive/data/0": bytes(range(200)), "archive/empty": b"", "ä/ß": b"x"}


def archive_of(members: dict[str, bytes], comment: bytes = b"", extra: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = comment
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.extra = extra
            archive.writestr(info, content)
    return buffer.getvalue()


def contents(data: bytes) -> dict[str, bytes]:
    return {name: bytes(read_member(data, member)) for name, member in read_directory(data).items()}


def refusal(data: bytes) -> str:
    with pytest.raises(JaxnextError) as caught:
        contents(data)
    return str(caught.value)


def wide(data: bytes) -> bytes:
    """The archive with every number of its directory in the 64-bit form."""
    end = data.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack_from("<10xHLL", data, end)
    entries, at = b"", start
    for _ in range(count):
        name, extra, comment = struct.unpack_from("<28xHHH", data, at)
        stored, full = struct.unpack_from("<20xLL", data, at)
        (header,) = struct.unpack_from("<42xL", data, at)
        fields = struct.pack("<HHHH", 0xCAFE, 2, 7, 1) + struct.pack("<HQQQ", 24, full, stored, header)
        entries += (
            data[at : at + 20] + b"\xff" * 8 + struct.pack("<HHH", name, len(fields), 0) + data[at + 34 : at + 42]
        )
        entries += b"\xff" * 4 + data[at + 46 : at + 46 + name] + fields
        at += 46 + name + extra + comment
    assert at == start + size
    place = start + len(entries)
    record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(entries), start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, place, 1)
    return data[:start] + entries + record + locator + b"PK\x05\x06" + b"\0" * 4 + b"\xff" * 12 + b"\0\0"


@pytest.mark.parametrize("comment", [b"", b"of 20 bytes or more, with PK in it"])
def test_members_as_zipfile_writes_them(comment: bytes) -> None:
    assert contents(archive_of(MEMBERS, comment)) == MEMBERS


def test_the_64_bit_form() -> None:
    data = wide(archive_of(MEMBERS))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:  # what is tested with is right
        assert {name: archive.read(name) for name in archive.namelist()} == MEMBERS
    assert contents(data) == MEMBERS
    place = data.rindex(b"PK\x06\x07")
    assert "64-bit directory is missing" in refusal(data[: place + 8] + bytes(8) + data[place + 16 :])
    assert "64-bit directory lies outside" in refusal(data[: place + 8] + b"\xff" * 8 + data[place + 16 :])


@pytest.mark.parametrize(
    ("at", "form", "value", "message"),
    [
        (10, "<H", 5, "directory is cut short"),
        (10, "<H", 65535, "directory is cut short"),
        (12, "<L", 2**32 - 1, "directory lies outside of it"),
        (16, "<L", 2**32 - 1, "directory lies outside of it"),
        (16, "<L", 0, "directory is cut short"),
        (0, "<L", 0, "directory is missing"),
    ],
)
def test_numbers_of_the_directory_that_do_not_fit(at: int, form: str, value: int, message: str) -> None:
    data = bytearray(archive_of(MEMBERS))
    struct.pack_into(form, data, data.rindex(b"PK\x05\x06") + at, value)
    assert message in refusal(bytes(data))


@pytest.mark.parametrize(
    ("at", "form", "value", "message"),
    [
        (0, "<L", 0, "directory is cut short"),
        (8, "<H", 1, "compressed or encrypted"),
        (10, "<H", 8, "compressed or encrypted"),
        (16, "<L", 0, "the checksum differs"),
        (20, "<L", 5, "compressed or encrypted"),
        (28, "<H", 65535, "directory is cut short"),
        (30, "<H", 65535, "directory is cut short"),
        (32, "<H", 65535, "directory is cut short"),
        (42, "<L", 2**31, "lies outside of it"),
        (42, "<L", 1, "is cut short or damaged"),
    ],
)
def test_numbers_of_a_member_that_do_not_fit(at: int, form: str, value: int, message: str) -> None:
    data = bytearray(archive_of(MEMBERS))
    struct.pack_into(form, data, data.index(b"PK\x01\x02") + at, value)
    assert message in refusal(bytes(data))


def test_a_member_without_its_local_header() -> None:
    data = archive_of(MEMBERS)
    assert refusal(b"\0" + data[1:]) == "its member 'archive/data.pkl' is cut short or damaged"


def test_too_many_members() -> None:
    entry = struct.pack("<4s24xHHH12x", b"PK\x01\x02", 0, 0, 0)
    directory = b"PK\x03\x04" + entry * (MAX_MEMBERS + 1)
    start = len(directory)
    record = struct.pack("<4s28xQQQ", b"PK\x06\x06", MAX_MEMBERS + 1, start - 4, 4)
    data = directory + record + struct.pack("<4s4xQ4x", b"PK\x06\x07", start) + b"PK\x05\x06" + bytes(18)
    assert refusal(data) == "it is a zip archive of more than 100,000 members or 10,000,000 bytes of names"


def test_too_large_a_directory() -> None:
    data = archive_of({str(i): b"" for i in range(200)}, extra=bytes(60_000))
    assert refusal(data) == "it is a zip archive of more than 100,000 members or 10,000,000 bytes of names"


def test_extra_fields_are_read_once() -> None:
    # 100 members, each with 16,000 empty extra fields before the one that is looked for.
    members = {str(i): b"" for i in range(100)}
    data = bytearray(archive_of(members, extra=b"\xfe\xca\0\0" * 16_000))
    at = 0
    for _ in range(100):
        at = data.index(b"PK\x01\x02", at + 4)
        struct.pack_into("<L", data, at + 42, 2**32 - 1)
    start = time.process_time()
    assert len(read_directory(bytes(data))) == 100
    assert time.process_time() - start < 2


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([archive_of(MEMBERS), wide(archive_of(MEMBERS))]))
def test_mutations_give_members_or_the_projects_error(seed: int, data: bytes) -> None:
    draw = random.Random(seed)
    changed = bytearray(data)
    start = data.index(b"PK\x01\x02")
    for _ in range(draw.randrange(1, 4)):
        changed[draw.randrange(start, len(data))] = draw.choice((0, 1, 255, draw.randrange(256)))
    try:
        found = contents(bytes(changed))
    except JaxnextError:
        return
    assert sum(map(len, found.values())) <= len(data)
