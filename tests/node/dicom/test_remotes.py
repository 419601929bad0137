"""Who may connect, and what for."""

from __future__ import annotations

import pytest

from node.dicom.remotes import Right, rights_of
from node.settings import RemoteSettings


def remote(ae_title: str, host: str = "", may_store: bool = True) -> RemoteSettings:
    return RemoteSettings(name=ae_title + host, ae_title=ae_title, host=host, may_store=may_store)


ANYWHERE = remote("SKYRA")
FIXED = remote("PACS", "192.0.2.10")
STORES = frozenset({Right.STORE})


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1"])
def test_without_remotes_everybody_on_this_machine_may_store(address):
    assert rights_of((), "ANYBODY", address) == STORES


@pytest.mark.parametrize("address", ["192.0.2.10", "10.0.0.1", "2001:db8::1", "fe80::1%eth0", "::ffff:10.0.0.1"])
def test_without_remotes_nobody_else_may_connect(address):
    assert rights_of((), "ANYBODY", address) is None


def test_remotes_that_may_not_store_leave_storing_to_this_machine():
    receiver = remote("PACS", "192.0.2.10", may_store=False)
    assert rights_of((receiver,), "ANYBODY", "127.0.0.1") == STORES
    assert rights_of((receiver,), "ANYBODY", "192.0.2.11") is None


def test_a_remote_that_may_not_store_may_connect():
    receiver = remote("PACS", "192.0.2.10", may_store=False)
    assert rights_of((receiver, ANYWHERE), "PACS", "192.0.2.10") == frozenset()


def test_the_rights_of_several_entries_of_one_system_add_up():
    assert rights_of((remote("PACS", may_store=False), FIXED), "PACS", "192.0.2.10") == STORES


def test_a_remote_without_host_may_connect_from_anywhere():
    assert rights_of((FIXED, ANYWHERE), "SKYRA", "198.51.100.3") == STORES


def test_an_ae_title_is_compared_without_padding():
    assert rights_of((ANYWHERE,), "SKYRA   ", "198.51.100.3") == STORES


@pytest.mark.parametrize("calling", ["skyra", "SKYRA2", "", "PAC"])
def test_an_unknown_ae_title_may_not_connect(calling):
    assert rights_of((FIXED, ANYWHERE), calling, "127.0.0.1") is None


def test_a_remote_with_a_host_must_come_from_there():
    assert rights_of((FIXED,), "PACS", "192.0.2.10") == STORES
    assert rights_of((FIXED,), "PACS", "::ffff:192.0.2.10") == STORES
    assert rights_of((FIXED,), "PACS", "192.0.2.11") is None


def test_a_host_may_be_a_name():
    assert rights_of((remote("PACS", "localhost"),), "PACS", "127.0.0.1") == STORES
    assert rights_of((remote("PACS", "localhost"),), "PACS", "192.0.2.10") is None


def test_a_name_that_cannot_be_resolved_admits_nobody_and_is_logged(caplog):
    assert rights_of((remote("PACS", "no-such-host.invalid"),), "PACS", "127.0.0.1") is None
    assert "PACS: its host no-such-host.invalid cannot be resolved" in caplog.text


def test_the_same_ae_title_may_have_several_hosts():
    assert rights_of((FIXED, remote("PACS", "192.0.2.20")), "PACS", "192.0.2.20") == STORES
