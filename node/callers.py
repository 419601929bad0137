"""Where a request of HTTP comes from: this machine, or through a proxy that says so."""

from __future__ import annotations

import ipaddress
import re

from starlette.requests import Request

_PROXIED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
# RFC 7239 section 4; an IPv6 address stands in brackets and quotes.
_FOR = re.compile(r'(?:^|[;,])\s*for="?([^";,\s]+)', re.IGNORECASE)


def is_proxied(request: Request) -> bool:
    """Whether a request has come through a proxy that says so."""
    return any(name in request.headers for name in _PROXIED)


def client_address(request: Request) -> str:
    """Who calls: the peer, or the last one that a proxy on this machine says it has heard.

    What stands before the last one is what that one has said, and anybody can say that.
    """
    peer = request.client.host if request.client else ""
    if not is_loopback(peer):
        return peer
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")) or request.headers.get("x-real-ip", "")
    if not forwarded and (said := _FOR.findall(",".join(request.headers.getlist("forwarded")))):
        forwarded = said[-1]
    last = forwarded.rpartition(",")[2].strip()
    without_port = last.rpartition(":")[0] if last.count(":") == 1 else last.partition("]")[0].lstrip("[")
    try:
        return str(ipaddress.ip_address(without_port))
    except ValueError:
        return peer


def is_loopback(address: str) -> bool:
    """Whether an address is one by which this machine calls itself."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return found.is_loopback
