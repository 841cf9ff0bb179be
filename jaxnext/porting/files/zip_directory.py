"""The members of a zip archive that lies in memory, in time and memory proportional to its directory.

Python's ``zipfile`` takes time quadratic in the extra fields that a hostile directory declares, and sets no limit to
the number of members. PyTorch's files need little of the format.

Reference: PKWARE's APPNOTE.TXT, sections 4.3.7 to 4.5.3.
"""

import struct
import zlib
from typing import Final, NamedTuple, NoReturn

from jaxnext.errors import JaxnextError

MAX_MEMBERS: Final = 100_000
"""An archive with more is refused; a model's has a member for each tensor."""

MAX_DIRECTORY: Final = 10_000_000
"""Bytes; an archive with a larger directory is refused. A member of PyTorch's takes about a hundred."""

_END: Final = struct.Struct("<4s4xHH2LH")
_END_64_PLACE: Final = struct.Struct("<4s4xQ4x")
_END_64: Final = struct.Struct("<4s28xQQQ")
_ENTRY: Final = struct.Struct("<4s4xHH4xLLLHHH8xL")
_LOCAL: Final = struct.Struct("<4s22xHH")
_MAX_COMMENT: Final = 65_535
_ENCRYPTED: Final = 0x1
_STORED: Final = 0
_ZIP64_EXTRA: Final = 1
_IN_ZIP64_EXTRA: Final = 2**32 - 1


class Member(NamedTuple):
    """What the directory says of a member. Sizes in bytes; ``start`` is where its local header begins."""

    name: str
    flags: int
    method: int
    checksum: int
    stored_size: int
    size: int
    start: int


def read_directory(data: bytes) -> dict[str, Member]:
    """Return the members by name, as the directory at the archive's end lists them.

    Raises:
        JaxnextError: it is cut short or damaged, or lists a name twice, more than ``MAX_MEMBERS``, or uncompressed
            members that together are larger than the archive. The message does not name the file.
    """
    end = data.rfind(b"PK\x05\x06", max(0, len(data) - _END.size - _MAX_COMMENT))
    if end < 0:
        _damaged("its directory is missing")
    try:
        count, size, start = _place(data, end)
        if start + size > end:
            _damaged("its directory lies outside of it")
        if count > MAX_MEMBERS or size > MAX_DIRECTORY:
            raise JaxnextError(
                f"it is a zip archive of more than {MAX_MEMBERS:,} members or {MAX_DIRECTORY:,} bytes of names"
            )
        entries = _entries(data, start, start + size, count)
    except struct.error:
        _damaged("its directory is cut short")
    members = {member.name: member for member in entries}
    if len(members) != len(entries):
        raise JaxnextError("it is a zip archive in which two members have one name")
    # Members that lie on one another would let a small archive be read many times over. TorchScript compresses its
    # code, which is not read.
    if sum(member.size for member in entries if member.method == _STORED) > len(data):
        raise JaxnextError("it is a zip archive whose members are larger than itself; PyTorch stores them uncompressed")
    return members


def read_member(data: bytes, member: Member) -> memoryview:
    """Return the bytes of an uncompressed member, its checksum verified.

    Raises:
        JaxnextError: it is compressed, encrypted or damaged. The message does not name the file.
    """
    name = ascii(member.name)
    if member.method != _STORED or member.stored_size != member.size or member.flags & _ENCRYPTED:
        raise JaxnextError(f"its member {name} is compressed or encrypted; PyTorch stores its members as they are")
    if member.start > len(data) - _LOCAL.size:
        raise JaxnextError(f"its member {name} lies outside of it")
    signature, name_length, extra_length = _LOCAL.unpack_from(data, member.start)
    start = member.start + _LOCAL.size + name_length + extra_length
    content = memoryview(data)[start : start + member.size]
    if signature != b"PK\x03\x04" or len(content) != member.size:
        raise JaxnextError(f"its member {name} is cut short or damaged")
    if zlib.crc32(content) != member.checksum:
        raise JaxnextError(f"its member {name} is damaged: the checksum differs")
    return content


def _damaged(what: str) -> NoReturn:
    raise JaxnextError(f"it is a zip archive cut short or damaged ({what})")


def _place(data: bytes, end: int) -> tuple[int, int, int]:
    """Read number of members, size and start of the directory, in the record at ``end`` or its 64-bit form before."""
    _, _, count, size, start, _ = _END.unpack_from(data, end)
    if end >= _END_64_PLACE.size:
        signature, place = _END_64_PLACE.unpack_from(data, end - _END_64_PLACE.size)
        if signature == b"PK\x06\x07":
            if place > len(data):
                _damaged("its 64-bit directory lies outside of it")
            signature, count, size, start = _END_64.unpack_from(data, place)
            if signature != b"PK\x06\x06":
                _damaged("its 64-bit directory is missing")
    return count, size, start


def _entries(data: bytes, start: int, end: int, count: int) -> list[Member]:
    found = []
    for _ in range(count):
        signature, flags, method, checksum, stored_size, size, *lengths, header = _ENTRY.unpack_from(data, start)
        name_length, extra_length, comment_length = lengths
        start += _ENTRY.size
        name = data[start : start + name_length].decode("utf-8", "surrogateescape")
        extra = start + name_length
        start = extra + extra_length + comment_length
        if signature != b"PK\x01\x02" or start > end:
            _damaged("its directory is cut short")
        sizes = [size, stored_size, header]
        if _IN_ZIP64_EXTRA in sizes:
            sizes = _from_zip64_extra(data, extra, extra + extra_length, sizes)
        found.append(Member(name, flags, method, checksum, sizes[1], sizes[0], sizes[2]))
    return found


def _from_zip64_extra(data: bytes, start: int, end: int, sizes: list[int]) -> list[int]:
    """Take from the 64-bit extra field what of size, stored size and header's place does not fit 32 bits."""
    while start + 4 <= end:
        kind, length = struct.unpack_from("<HH", data, start)
        start += 4
        if kind == _ZIP64_EXTRA:
            numbers = iter(struct.unpack_from(f"<{min(length, end - start) // 8}Q", data, start))
            return [next(numbers, size) if size == _IN_ZIP64_EXTRA else size for size in sizes]
        start += length
    return sizes
