"""Remotes are asked by schedule whether they answer, those that can be."""

from __future__ import annotations

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
