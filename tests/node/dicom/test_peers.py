"""The rules on who may connect."""

from __future__ import annotations

import pytest

from node.dicom.peers import is_admitted
from node.settings import PeerSettings

ANYWHERE = PeerSettings(ae_title="SKYRA")
FIXED = PeerSettings(ae_title="PACS", host="192.0.2.10")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1"])
def test_without_peers_everybody_on_this_machine_may_connect(address):
    assert is_admitted((), "ANYBODY", address)


@pytest.mark.parametrize("address", ["192.0.2.10", "10.0.0.1", "2001:db8::1", "fe80::1%eth0", "::ffff:10.0.0.1"])
def test_without_peers_nobody_else_may(address):
    assert not is_admitted((), "ANYBODY", address)


def test_a_peer_without_host_may_connect_from_anywhere():
    assert is_admitted((FIXED, ANYWHERE), "SKYRA", "198.51.100.3")


def test_an_ae_title_is_compared_without_padding():
    assert is_admitted((ANYWHERE,), "SKYRA   ", "198.51.100.3")


@pytest.mark.parametrize("calling", ["skyra", "SKYRA2", "", "PAC"])
def test_an_unknown_ae_title_may_not_connect(calling):
    assert not is_admitted((FIXED, ANYWHERE), calling, "127.0.0.1")


def test_a_peer_with_a_host_must_come_from_there():
    assert is_admitted((FIXED,), "PACS", "192.0.2.10")
    assert is_admitted((FIXED,), "PACS", "::ffff:192.0.2.10")
    assert not is_admitted((FIXED,), "PACS", "192.0.2.11")


def test_a_host_may_be_a_name():
    peer = PeerSettings(ae_title="PACS", host="localhost")
    assert is_admitted((peer,), "PACS", "127.0.0.1")
    assert not is_admitted((peer,), "PACS", "192.0.2.10")


def test_a_name_that_cannot_be_resolved_admits_nobody_and_is_logged(caplog):
    peer = PeerSettings(ae_title="PACS", host="no-such-host.invalid")
    assert not is_admitted((peer,), "PACS", "127.0.0.1")
    assert "PACS: its host no-such-host.invalid cannot be resolved" in caplog.text


def test_the_same_ae_title_may_have_several_hosts():
    peers = (FIXED, PeerSettings(ae_title="PACS", host="192.0.2.20"))
    assert is_admitted(peers, "PACS", "192.0.2.20")
