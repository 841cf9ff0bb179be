"""What a server takes, and what it refuses."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """How much may be asked of a server at a time."""

    max_bytes: int = 32 * 2**20
    """of a request; a larger one is refused while it is read (413)"""
    max_pixels: int = 50_000_000
    """of an image, by its header, before anything of it is decoded (413)"""
    max_files: int = 32
    """images in a request (413)"""
    queue: int = 512
    """images that are decoded or wait to be computed; more are refused (503)"""
    waiting_bytes: int = 512 * 2**20
    """of all requests that are being read or wait to be decoded; more are refused (503)"""
    rate: float | None = None
    """requests a second from one address, twice as many at once (429); null: as many as there are"""
    body_seconds: float = 20.0
    """that a request's body may take to arrive (408), and its head"""
