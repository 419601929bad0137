"""The rights of who connects: the rules on AE titles and addresses.

An AE title is no secret, so an address in the rule is what protects; certificate and passcode (`proof`) come on top.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Sequence
from enum import StrEnum

from node.settings import RemoteSettings
from storage.known_answer import DESTINATION

log = logging.getLogger(__name__)


class Right(StrEnum):
    """A service that a remote may use, by its key in the settings; C-ECHO is free.

    REPORT is to say what it has committed, for one that is asked.
    """

    STORE = "may_store"
    QUERY = "may_query"
    RETRIEVE = "may_retrieve"
    COMMIT = "may_commit"
    REPORT = "commitment"


def entries_of(remotes: Sequence[RemoteSettings], calling_ae: str, address: str) -> tuple[RemoteSettings, ...]:
    """The remotes that a calling AE title from an IP address can be."""
    title = calling_ae.strip()
    return tuple(it for it in remotes if title and it.ae_title == title and comes_from(it, address))


def rights_of(
    remotes: Sequence[RemoteSettings], calling_ae: str, address: str, found: Sequence[RemoteSettings] | None = None
) -> frozenset[Right] | None:
    """The rights of a calling AE title from an IP address; None where it may not connect.

    Without any remote that may store, everybody on this machine may store and nobody else.

    Args:
        remotes: all of them.
        calling_ae: who calls.
        address: where from.
        found: which of them it is, where that is known.
    """
    found = entries_of(remotes, calling_ae, address) if found is None else found
    by_itself = not any(it.may_store for it in remotes if it.name != DESTINATION) and _plain(address).is_loopback
    if not found and not by_itself:
        return None
    granted = {right for right in Right if any(getattr(it, right) for it in found)}
    return frozenset(granted | ({Right.STORE} if by_itself else set()))


def comes_from(remote: RemoteSettings, address: str) -> bool:
    """Whether an IP address is one of a remote; of one without host any is."""
    if not remote.host:
        return True
    try:
        found = socket.getaddrinfo(remote.host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        log.warning("remote %s: its host %s cannot be resolved: %s", remote.title, remote.host, error)
        return False
    return _plain(address) in {_plain(str(entry[4][0])) for entry in found}


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address without an IPv6 zone, and as IPv4 where a dual-stack socket shows it mapped into IPv6."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed
