"""Who may connect: the rules on AE titles and addresses.

An AE title is no secret, so an address in the rule is what protects; encrypted transport comes on top of it.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Sequence

from node.settings import PeerSettings

log = logging.getLogger(__name__)


def is_admitted(peers: Sequence[PeerSettings], calling_ae: str, address: str) -> bool:
    """Whether a calling AE title from an IP address may connect.

    Without any peer configured, everybody on this machine may and nobody else.
    """
    if not peers:
        return _plain(address).is_loopback
    return any(peer.ae_title == calling_ae.strip() and _comes_from(peer, address) for peer in peers)


def _comes_from(peer: PeerSettings, address: str) -> bool:
    if not peer.host:
        return True
    try:
        found = socket.getaddrinfo(peer.host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        log.warning("peer %s: its host %s cannot be resolved: %s", peer.ae_title, peer.host, error)
        return False
    return _plain(address) in {_plain(str(entry[4][0])) for entry in found}


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address without an IPv6 zone, and as IPv4 where a dual-stack socket shows it mapped into IPv6."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed
