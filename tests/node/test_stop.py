"""A node that is told to stop ends within ten seconds, whatever is under way, and nothing of it is lost."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage

from node.clock import STOPS_WITHIN_S, utc_now
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.ledger import Ledger

from ..parts.processes import free_port, wait_for
from ..parts.storage_scp import running_storage_scp
from .delivery.queued import Queue

A_PROCESS_WITH_A_PART_THAT_DOES_NOT_END = """
import logging, os, signal, sys, threading
from pathlib import Path
import node.service
from node.settings import Settings
logging.basicConfig()
node.service.STOPS_WITHIN_S = 3.0
service = node.service.Service(Settings(root=Path(sys.argv[1])), frozenset())
if sys.argv[2] == "stop":
    service._parts(node.service.ServiceRole.WEB, threading.Event().wait)
else:
    threading.Thread(target=threading.Event().wait).start()
threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGTERM]).start()
service.run()
"""

A_NODE_THAT_IS_STOPPED_BEFORE_IT_HAS_LOADED_ITS_MODELS = """
import os, signal, sys, threading
from pathlib import Path
import node.service
from node.settings import AnalysisSettings, Settings
node.service.STOPS_WITHIN_S = 100.0
settings = Settings(root=Path(sys.argv[1]), analysis=AnalysisSettings(precision="float32"))
service = node.service.Service(settings, frozenset({node.service.ServiceRole.ANALYSIS}))
threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGTERM]).start()
service.run()
"""


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def node(tmp_path: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Receives, and delivers two results to a PACS that takes its time."""
    entered, release = threading.Event(), threading.Event()

    def slow(_event: object, _count: int) -> int:
        entered.set()
        release.wait(60)
        return 0

    queue = Queue(ObjectStore(tmp_path), *_storage(tmp_path), utc_now)
    queue.add(1, 2)
    with running_storage_scp(slow) as pacs:
        config = tmp_path / "node.toml"
        config.write_text(
            f'root = "{tmp_path}"\n[listener]\nport = {port}\nminimum_free_gb = 0\n[[remotes]]\nname = "pacs"\n'
            f'ae_title = "PACS"\nhost = "127.0.0.1"\nport = {pacs.port}\nreceives_results = true\ntimeout_s = 60\n'
            '[[remotes]]\nname = "scanner"\nae_title = "SCANNER"\nmay_store = true\n'
        )
        command = [sys.executable, "-m", "node", "serve", "--config", str(config)]
        roles = [argument for role in ("listener", "delivery", "maintenance") for argument in ("--role", role)]
        started = subprocess.Popen([*command, *roles])
        assert entered.wait(60)
        yield started
        started.kill()
        started.wait()
        release.set()


def _storage(root: Path) -> tuple[Ledger, Deliveries]:
    engine = open_engine(f"sqlite:///{root / 'index.sqlite'}")
    return Ledger(engine), Deliveries(engine)


def test_a_node_in_the_middle_of_receiving_and_sending_ends_in_order_within_ten_seconds(
    node: subprocess.Popen[bytes], port: int, tmp_path: Path
) -> None:
    ae = AE("SCANNER")
    ae.add_requested_context(MRImageStorage)
    sending = wait_for(
        lambda: (it := ae.associate("127.0.0.1", port, ae_title="RECTALNODE")).is_established and it, "association", 30
    )
    with socket.create_connection(("127.0.0.1", port)) as silent:
        begun = time.monotonic()
        node.send_signal(signal.SIGTERM)
        assert node.wait(2 * STOPS_WITHIN_S) == 0
        assert time.monotonic() - begun < STOPS_WITHIN_S
        assert silent.recv(1) == b""
    wait_for(lambda: sending.is_aborted, "the abort", 5)
    _, deliveries = _storage(tmp_path)
    assert [it.attempts for it in deliveries.records()] == [0, 0]


@pytest.mark.parametrize(("kind", "said"), [("stop", "not at an end: web"), ("thread", "not at an end in 2 s")])
def test_what_does_not_end_is_cut_off_in_its_time_and_the_log_says_so(tmp_path: Path, kind: str, said: str) -> None:
    """A part that hangs, and a thread that the interpreter would wait for."""
    command = [sys.executable, "-c", A_PROCESS_WITH_A_PART_THAT_DOES_NOT_END, str(tmp_path), kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "the process ends now; what was under way is done again at the next start" in done.stderr


def test_a_stop_while_the_node_starts_does_not_wait_for_the_conversion_of_its_networks(tmp_path: Path) -> None:
    command = [sys.executable, "-c", A_NODE_THAT_IS_STOPPED_BEFORE_IT_HAS_LOADED_ITS_MODELS, str(tmp_path)]
    subprocess.run(command, timeout=120, check=True)
    assert not list(tmp_path.glob("engines/*"))
