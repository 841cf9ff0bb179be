"""The stack machine: values, and pickles built to take time or memory."""

import contextlib
import pickle
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_writer import name, pickled

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.pickle_names import INERT
from jaxnext.porting.files.pickle_reader import read_pickle

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
OPCODES = st.sampled_from([*b"]}()tul023ase.\x85\x86\x87\x94\x88Nd1RbQ\x81\x93c"])


def value_of(code: bytes) -> object:
    return read_pickle(memoryview(code))[0]


def refusal(code: bytes) -> str:
    with pytest.raises(JaxnextError) as caught:
        value_of(code)
    return str(caught.value)


@settings(max_examples=100, deadline=None)
@given(PLAIN, st.sampled_from([2, 3, 4, 5]))
def test_plain_data_is_read_as_pickle_reads_it(value, protocol):
    code = pickle.dumps(value, protocol)
    found, end, storages, unknown = read_pickle(memoryview(b"before" + code + b"after"), 6)
    assert found == value
    assert end == 6 + len(code)
    assert (storages, unknown) == ({}, ())


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([*b"]}()tul023ase.\x85\x86\x87\x94\x88Nd1RbQ\x81\x93c"]) | st.binary(max_size=3), max_size=40
    )
)
def test_any_opcodes_end_in_a_value_or_the_projects_error(parts):
    code = b"".join(part if isinstance(part, bytes) else bytes([part]) for part in parts)
    with contextlib.suppress(JaxnextError):
        value_of(b"\x80\x02" + code + b".")


def test_strings_of_python_2_and_what_is_no_text():
    assert value_of(b"\x80\x02U\x02abT\x01\0\0\0c\x86.") == ("ab", "c")
    assert value_of(b"\x80\x02U\x01\xff.") is INERT
    assert value_of(b"\x80\x03C\x01a.") is INERT
    assert value_of(b"\x80\x04\x8f(K\1K\2\x90.") == [1, 2]
    assert value_of(b"\x80\x04(K\1\x91.") == [1]


def test_a_dict_keeps_keys_that_are_text_or_small_numbers_only():
    assert value_of(b"\x80\x02}(K\1K\2U\x01aK\3J\xff\xff\xff\xffK\4)K\5NK\6\x88K\7u.") == {1: 2, "a": 3}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"", "cut short"),
        (b"\x80\x02X\xff\xff\xff\xff", "cut short"),
        (b"\x80\x02\x8e" + b"\xff" * 8, "cut short"),
        (b"\x80\x02\x8b\xff\xff\xff\xff", "cut short"),
        (b"\x80\x06N.", "newer than 5"),
        (b"\x80\x02.", "stack is empty"),
        (b"\x80\x02h\x05.", "did not store"),
        (b"\x80\x02t.", "a mark is missing"),
        (b"\x80\x02NNa.", "not a list"),
        (b"\x80\x02}(Nu.", "a key has no value"),
        (b"\x80\x02]NNs.", "not a dict"),
        (b"\x80\x02N}b.", "has none"),
        (b"\x80\x02NQ.", "not a storage's"),
        (b"\x80\x02N)R.", "not a function"),
        (b"\x80\x02\x82\x01.", "opcode 0x82 is not read"),
        (b"\x80\x02c" + b"a" * 2000, "a name does not end"),
    ],
)
def test_malformed(code, message):
    assert message in refusal(code)


def test_a_memo_index_reserves_nothing():
    assert value_of(b"\x80\x02Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.") is None


def test_containers_in_themselves_and_deep_ones():
    found = value_of(b"\x80\x02}q\0U\x01ah\0s.")
    assert isinstance(found, dict)
    assert found["a"] is found
    value_of(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")
    value_of(b"\x80\x02)" + b"\x85" * 100_000 + b".")


def test_a_key_whose_hash_would_take_forever():
    # A pair of a pair of a pair ..., each sharing both halves: hashing it visits 2**200 leaves.
    assert value_of(b"\x80\x02}N" + b"2\x86" * 200 + b"Ns.") == {}


def test_long_keys_are_not_compared_over_and_over():
    storage = b"(X\7\0\0\0storage" + name("torch", "FloatStorage") + b"h%cX\3\0\0\0cpuK\1tQ0"
    # Equal texts that are not the same object are compared character for character.
    for length, pattern in (
        (4_000_000, b"}" + b"h\0Nsh\1Ns" * 20_000),
        (1_000_000, (storage % 0 + storage % 1) * 40_000),
    ):
        text = b"X" + length.to_bytes(4, "little") + b"a" * length
        start = time.thread_time()
        with contextlib.suppress(JaxnextError):
            value_of(b"\x80\x02" + text + b"\x940" + text + b"\x940" + pattern + b".")
        assert time.thread_time() - start < 0.7


def test_too_many_opcodes():
    code = memoryview(b"\x80\x02" + b"N0" * 49 + b"N.")
    assert read_pickle(code, 0, max_opcodes=101) == (None, len(code), {}, ())
    with pytest.raises(JaxnextError, match="more than 100 opcodes"):
        read_pickle(code, 0, max_opcodes=100)
    assert "more than 500,000 opcodes" in refusal(b"N" * 600_000)


def test_thousands_of_copies_of_one_list_are_not_made():
    pairs = pickled([[f"key{number}", number] for number in range(500)])[2:-1]
    ordered = name("collections", "OrderedDict")
    copies = b"h\1h\0\x85R" * 5000
    code = b"\x80\x02" + ordered + b"q\1" + pairs + b"q\0" + copies + b"."
    start = time.monotonic()
    tracemalloc.start()
    value_of(code)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * len(code)
    assert time.monotonic() - start < 2
