"""ImageNet weights by name: downloaded once, resumed when broken off, verified by their digest."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from tqdm import tqdm

from jaxnext.config.values import nearest
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.porting.named import WEIGHTS

TIMEOUT: Final = 30.0
"""Seconds without a byte after which a download counts as broken off."""

_CHUNK: Final = 1 << 20
_NETWORK_ERRORS: Final = (OSError, http.client.HTTPException)


def fetch(
    name: str,
    cache_dir: Path,
    *,
    base_url: str | None = None,
    progress: bool = True,
    timeout: float = TIMEOUT,
) -> Path:
    """Give the file of named weights, downloading it to ``cache_dir`` unless it is there.

    A download goes to ``<file>.part``; broken off, it goes on from there the next time. A cached file is verified too.

    Args:
        name: a key of ``WEIGHTS``.
        cache_dir: made if it is missing.
        base_url: where the files are instead of at their own addresses; ends in a slash.
        progress: whether to show a progress bar in bytes on stderr.
        timeout: seconds to wait for the server at each read.

    Returns:
        The path of the verified file.

    Raises:
        UsageError: the name is not known.
        JaxnextError: the server cannot be reached or refuses (the message says what to download by hand and where to
            put it), the file cannot be written, or the digest is wrong (the file is removed).
    """
    if name not in WEIGHTS:
        near, names = nearest(name, reversed(WEIGHTS)), ", ".join(WEIGHTS)
        raise UsageError(f"unknown weights {name!r}: did you mean {near}? The names are {names}")
    url = WEIGHTS[name].url
    path = cache_dir / url.rpartition("/")[2]
    url = url if base_url is None else base_url + path.name
    try:
        if path.exists():
            _verify(path, path.name, url)
            return path
        cache_dir.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        _download(url, part, path, progress, timeout)
        _verify(part, path.name, url)
        part.replace(path)
    except OSError as error:
        raise JaxnextError(f"{path}: cannot be read or written ({error})") from None
    return path


def _verify(path: Path, name: str, url: str) -> None:
    digits = Path(name).stem.rpartition("-")[2]
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if not digest.startswith(digits):
        path.unlink()
        raise JaxnextError(
            f"{path}: removed, since it is not the file at {url}: expected a SHA-256 that begins with {digits}, "
            f"found {digest}"
        )


def _download(url: str, part: Path, path: Path, progress: bool, timeout: float) -> None:
    """Bring ``part`` to its full length, going on where it ends."""
    have = part.stat().st_size if part.exists() else 0
    try:
        response = _open(url, have, timeout)
    except urllib.error.HTTPError as error:
        error.close()
        # 416: the server has nothing after what is here. Whether that is all of the file, the digest tells.
        if have and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return
        raise JaxnextError(_by_hand(url, path, f"the server answered {error.code} {error.reason}")) from None
    except (*_NETWORK_ERRORS, ValueError) as error:
        raise JaxnextError(_by_hand(url, path, str(getattr(error, "reason", error)))) from None
    with response:
        resumed = response.status == http.client.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise JaxnextError(_by_hand(url, path, "the server sent another part of the file than was asked for"))
        start = have if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isascii() and length.isdigit() else None
        bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=path.name, disable=not progress)
        with part.open("ab" if resumed else "wb") as file, bar:
            while chunk := _read(response, url, path):
                file.write(chunk)
                bar.update(len(chunk))
    size = part.stat().st_size
    if total is not None and size < total:
        raise JaxnextError(_by_hand(url, path, f"it broke off after {size:,} of {total:,} bytes", resumable=True))


def _open(url: str, have: int, timeout: float) -> http.client.HTTPResponse:
    headers = {"User-Agent": "jaxnext", **({"Range": f"bytes={have}-"} if have else {})}
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)


def _read(response: http.client.HTTPResponse, url: str, path: Path) -> bytes:
    try:
        return response.read(_CHUNK)
    except _NETWORK_ERRORS as error:
        raise JaxnextError(_by_hand(url, path, f"it broke off ({error})", resumable=True)) from None


def _by_hand(url: str, path: Path, reason: str, resumable: bool = False) -> str:
    again = "run the command again to go on from there, or " if resumable else ""
    return f"the download failed, {reason}: {again}download {url} by hand and put it at {path}"
