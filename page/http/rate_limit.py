"""Rate limits by network: token buckets, and the network that an address belongs to.

uvicorn replaces the address of a proxy by the one that the proxy forwards, where
`FORWARDED_ALLOW_IPS` trusts the proxy; nothing here reads a header.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

MOST_NETWORKS = 10_000  # remembered


@dataclass(frozen=True)
class Rate:
    """So many requests a second, and `burst` of them at once."""

    per_second: float
    burst: float


OF_A_NETWORK = Rate(20.0, 400.0)
OF_ALL_LOCAL = Rate(200.0, 4000.0)  # or behind a proxy that forwards no addresses


def network_of(host: object) -> str:
    """Return the network of an address, or "" where it tells nothing.

    A loopback or private address is that of a proxy, or of everybody here. IPv6 gives each customer
    a whole /64.
    """
    try:
        address = ipaddress.ip_address(str(host))
    except ValueError:
        return ""
    address = getattr(address, "ipv4_mapped", None) or address
    if not address.is_global:
        return ""
    return str(ipaddress.ip_network((address, 64 if address.version == 6 else 32), strict=False))


def network_of_scope(scope: Scope) -> str:
    """Return the network that a request comes from, or ""."""
    client = scope.get("client")
    return network_of(client[0]) if client else ""


class RateLimit:
    """A token bucket for each network, and one for all whose network is not known."""

    def __init__(
        self,
        of_network: Rate = OF_A_NETWORK,
        of_unknown: Rate = OF_ALL_LOCAL,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.of_network, self.of_unknown = of_network, of_unknown
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, since when

    def wait_for(self, network: str) -> float:
        """Take a token and return 0, or return the seconds until there will be one."""
        rate = self.of_network if network else self.of_unknown
        now = self._clock()
        tokens, since = self._buckets.pop(network, (rate.burst, now))
        tokens = min(rate.burst, tokens + (now - since) * rate.per_second)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / rate.per_second
        self._buckets[network] = (tokens if wait else tokens - 1), now
        while len(self._buckets) > MOST_NETWORKS:
            self._buckets.popitem(last=False)
        return wait


def retry_after(wait: float) -> dict[str, str]:
    """Return the header that tells a client when to come back."""
    return {"Retry-After": str(max(1, math.ceil(wait)))}
