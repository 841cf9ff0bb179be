import hashlib

import numpy as np

from jaxnext.engine.digests import difference, digest_of, digests_of

HEAD = {"head": np.arange(3, dtype=np.float32)}
ARRAYS = {"model": {"params": HEAD}}
VALUES = {"meta": {"b": [1, 2], "a": 0.5}}


def test_literally() -> None:
    found = digests_of(ARRAYS, VALUES)
    array = hashlib.sha256(b"float32 [3] " + np.arange(3, dtype="<f4").tobytes()).hexdigest()
    value = hashlib.sha256(b'{"a": 0.5, "b": [1, 2]}').hexdigest()
    assert found == {"meta": {"": value}, "model": {"params/head": array}}


def test_values_as_json_reads_them_again() -> None:
    assert digests_of({}, {"meta": {"a": 0.5, "b": (1, 2)}}) == digests_of({}, VALUES)


def test_one_digest_of_paths_and_values() -> None:
    one = digest_of(ARRAYS)
    assert len(one) == 64
    assert one == digest_of({"model": {"params": {"head": np.arange(3, dtype=np.float32)}}})
    assert one != digest_of({"model": {"params": {"tail": HEAD["head"]}}})
    assert one != digest_of({"model": {"params": {"head": np.nextafter(HEAD["head"], 9)}}})


def test_differences() -> None:
    written = digests_of(ARRAYS, VALUES)
    assert difference(written, digests_of(ARRAYS, {})) is None
    others = {
        "model params/head: expected SHA-256 ": {"model": {"params": {"head": np.arange(3, dtype=np.int32)}}},
        "model params/tail: expected SHA-256 none, found ": {
            "model": {"params": {**ARRAYS["model"]["params"], "tail": 1}}
        },
        "optimizer: expected its digests, found none": {"optimizer": {"0000": np.zeros(2)}},
    }
    for sentence, arrays in others.items():
        assert (difference(written, digests_of(arrays, {})) or "").startswith(sentence)
    assert (difference(written, digests_of({}, {"meta": {"a": 1}})) or "").startswith("meta: expected SHA-256 ")
