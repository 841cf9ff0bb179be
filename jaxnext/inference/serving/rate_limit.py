"""How often one address may ask: a bucket of tokens for each, filled at a constant rate."""

import collections
import ipaddress
import math

MOST_ADDRESSES = 10_000
"""That are remembered; those that asked longest ago are forgotten first."""


class RateLimit:
    """Allows each address so many requests a second, and twice as many at once."""

    def __init__(self, rate: float | None, most_addresses: int = MOST_ADDRESSES) -> None:
        """Make one that knows nobody.

        Args:
            rate: requests a second; ``None``: as many as there are.
            most_addresses: that are remembered.
        """
        self._rate, self._most = rate, most_addresses
        self._burst = max(1.0, 2 * rate) if rate is not None else math.inf
        self._buckets: collections.OrderedDict[str, tuple[float, float]] = collections.OrderedDict()

    def wait(self, address: str, now: float) -> int | None:
        """Count a request.

        Args:
            address: of the client.
            now: seconds, of any clock that only goes forward.

        Returns:
            ``None`` where it is allowed, else the whole seconds after which one will be.
        """
        if self._rate is None:
            return None
        key = _network(address)
        tokens, before = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - before) * self._rate)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - allowed, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return None if allowed else max(1, math.ceil((1 - tokens) / self._rate))


def _network(address: str) -> str:
    """The address; of IPv6 the network, of which a client has all addresses."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(found) if found.version == 4 else str(ipaddress.ip_network((int(found), 64), strict=False))
