"""Remotes are asked by schedule whether they answer, those that can be."""

from __future__ import annotations

import socket

import pytest

from node.maintenance.echoing import Echoing
from node.settings import RemoteSettings
from storage.echoes import Echoes

from ...parts.processes import free_port
from ...parts.storage_scp import running_storage_scp


def test_each_remote_is_asked_once_and_what_it_said_is_kept(engine):
    with running_storage_scp() as scp:
        here, away, calling = (
            RemoteSettings(name=name, ae_title=name, host="127.0.0.1", port=port, may_store=True)
            for name, port in (("here", scp.port), ("away", free_port()), ("calling", 0))
        )
        asking = Echoing((here, away, calling), engine)
        asking.look()
        assert scp.echoes == 1
        asking.stop()
        asking.look()
        assert scp.echoes == 1
    echoes = Echoes(engine)
    (answer,), (silence,) = echoes.latest("here", 10), echoes.latest("away", 10)
    assert (answer.answers, answer.reason, answer.asked_by) == (True, "", "")
    assert not silence.answers
    assert "connection" in silence.reason
    assert 0 < answer.took_ms < 60_000
    assert echoes.latest("calling", 10) == ()


def test_a_stop_of_the_service_ends_a_round_after_the_remote_that_is_being_asked(maintain):
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        remotes = [
            RemoteSettings(
                name=name, ae_title=name, host="127.0.0.1", port=it.getsockname()[1], may_store=True, timeout_s=1
            )
            for name, it in (("first", first), ("second", second))
        ]
        service = maintain(remotes=remotes, maintenance={"echo_minutes": 0.001})
        asked, _ = first.accept()  # and never answers
        with asked:
            service.stop()
        second.setblocking(False)
        with pytest.raises(BlockingIOError):
            second.accept()
