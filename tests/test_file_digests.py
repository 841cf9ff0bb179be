import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from jaxnext.file_digests import UNSEALED, check_file, check_sums, has_seal, sealed, sha256, write_beside, write_sums

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def abc(tmp_path: Path) -> Path:
    (tmp_path / "abc").write_bytes(b"abc")
    return tmp_path / "abc"


def test_sha256(abc: Path) -> None:
    assert sha256(abc) == ABC


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
def test_sha256sum_reads_them(abc: Path) -> None:
    (abc.parent / "a b\\c\nd").write_bytes(b"x")
    write_sums(abc.parent)
    write_beside(abc)
    for file in ("SHA256SUMS", "abc.sha256"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", file], cwd=abc.parent, check=True)
    assert [problem for _, problem in check_sums(abc.parent)] == [None, None]


def test_a_folder(abc: Path) -> None:
    folder = abc.parent
    (folder / "known").write_bytes(b"")
    write_sums(folder, {"known": 64 * "1"})
    assert (folder / "SHA256SUMS").read_text() == f"{ABC}  abc\n{64 * '1'}  known\n"
    abc.unlink()
    empty = hashlib.sha256().hexdigest()
    assert list(check_sums(folder)) == [
        (str(abc), f"expected a file with the SHA-256 {ABC}, found none"),
        (str(folder / "known"), f"expected the SHA-256 {64 * '1'}, found {empty}"),
    ]
    assert list(check_sums(folder, lambda name: name == "other")) == []


@pytest.mark.parametrize("line", ["", "ba78  abc", f"{ABC} abc", f"{ABC}  ../abc", f"{ABC.upper()}  abc"])
def test_damaged_sums(abc: Path, line: str) -> None:
    (abc.parent / "SHA256SUMS").write_text(f"{ABC}  abc\n{line}\n")
    assert list(check_sums(abc.parent)) == [
        (str(abc), None),
        (f"{abc.parent / 'SHA256SUMS'}: line 2", "expected a SHA-256 and the name of a file, found another"),
    ]


def test_no_sums(tmp_path: Path) -> None:
    place = tmp_path / "SHA256SUMS"
    assert list(check_sums(tmp_path)) == [(str(place), "the file cannot be read (No such file or directory)")]


def test_a_digest_in_the_file_itself(tmp_path: Path) -> None:
    file, content = tmp_path / "net", f"before {UNSEALED} after".encode()
    digest = hashlib.sha256(content).hexdigest()
    file.write_bytes(sealed(content))
    assert file.read_text() == f"before jaxnext-sha256:{digest} after"
    assert has_seal(file)
    assert check_file(file) == (str(file), None)
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert check_file(file).problem is not None, at
    file.write_bytes(content)
    assert check_file(file).problem == f"expected the SHA-256 {64 * '0'}, found {digest}"
    assert sealed(b"no place") == b"no place"


def test_a_digest_beside_the_file(abc: Path) -> None:
    assert check_file(abc).problem == "expected its SHA-256 in it or in abc.sha256 beside it, found none"
    write_beside(abc)
    assert (abc.parent / "abc.sha256").read_text() == f"{ABC}  abc\n"
    assert check_file(abc) == (str(abc), None)
    abc.write_bytes(b"abd")
    assert check_file(abc).problem == f"expected the SHA-256 {ABC}, found {sha256(abc)}"
    (abc.parent / "abc.sha256").write_text("x")
    assert check_file(abc) == (f"{abc}.sha256", "expected a SHA-256 and the name of a file, found another")
    assert check_file(abc.parent / "no").problem == "the file cannot be read (No such file or directory)"
