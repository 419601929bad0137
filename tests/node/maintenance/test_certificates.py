"""A certificate that ends soon is an alert while it lies there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from node.codes import Alert
from node.maintenance import certificates
from node.settings import ListenerSettings, RemoteSettings

from ...parts.processes import wait_for


@pytest.mark.parametrize(("days", "said"), [(20, "expires on"), (-1, "has expired on"), (40, "")])
def test_it_is_said_a_month_before(authority, alerts, days, said):
    credentials = authority.credentials(authority.issue("node", valid=timedelta(days=days)))
    certificates.look([credentials], alerts)
    assert [(it.code, it.subject) for it in alerts.open()] == (
        [(Alert.CERTIFICATE_EXPIRES, str(credentials.certificate))] if said else []
    )
    assert all(said in it.text for it in alerts.open())


def test_it_ends_with_a_new_certificate_in_its_place(authority, alerts):
    credentials = authority.credentials(authority.issue("node", valid=timedelta(days=5)))
    certificates.look([credentials], alerts)
    authority.issue("node")
    certificates.look([credentials], alerts)
    assert alerts.open() == ()


def test_a_node_that_runs_looks_at_once(authority, alerts, maintain):
    credentials = authority.credentials(authority.issue("node", valid=timedelta(days=5)))
    remote = RemoteSettings(name="a", ae_title="A", host="h", tls=True)
    maintain(tls=credentials, remotes=(remote,), listener=ListenerSettings(tls_port=2762, credentials=credentials))
    wait_for(alerts.open, "the alert", 10, 0.01)
