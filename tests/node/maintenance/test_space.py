"""Little free disk is an alert before objects are refused; it ends with room to spare."""

from __future__ import annotations

import pytest

from node.maintenance import space
from node.settings import Settings
from storage.files import ObjectStore

from ...parts.processes import wait_for


@pytest.fixture
def look(tmp_path, alerts, monkeypatch):
    files = ObjectStore(tmp_path)

    def with_free(gigabytes: float) -> list[str]:
        monkeypatch.setattr(files, "free_bytes", lambda: gigabytes * 1e9)
        space.look(files, 4, 2, alerts)
        return [alert.text for alert in alerts.open()]

    return with_free


def test_the_alert_says_how_much_is_free_and_where_refusing_begins(look):
    assert look(4.1) == []
    assert look(3.0) == ["3.0 GB are free; below 2 GB objects are refused with A700"]


def test_the_alert_ends_with_a_tenth_more_than_the_watermark(look):
    look(3.0)
    assert len(look(4.2)) == 1
    assert look(4.5) == []


def test_without_a_watermark_it_is_twice_what_the_listener_refuses_at():
    assert Settings(listener={"minimum_free_gb": 3}).alert_free_gb == 6
    assert Settings(retention={"alert_free_gb": 50}).alert_free_gb == 50


def test_a_running_node_watches_its_disk(maintain, alerts):
    maintain(retention={"alert_free_gb": 1e6})
    wait_for(lambda: [it.code for it in alerts.open()] == ["E-DISK-LOW"], "the alert", 10, 0.01)
