"""Results that wait for a destination, and receivers that answer as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.presentation import build_context

from node.services.listener import Listener
from node.settings import ListenerSettings, RemoteSettings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger

from ...parts.processes import free_port
from ...parts.storage_scp import StorageSCP, running_storage_scp
from .queued import Queue

MR_IMAGES = [build_context(MRImageStorage, ExplicitVRLittleEndian)]


@pytest.fixture
def stored_at(tmp_path: Path, clock: Any) -> Callable[[str], Queue]:
    """An empty queue in a database."""

    def make(url: str) -> Queue:
        engine = open_engine(url)
        return Queue(ObjectStore(tmp_path), Ledger(engine), Deliveries(engine), clock)

    return make


@pytest.fixture
def queue(stored_at: Callable[[str], Queue], tmp_path: Path) -> Queue:
    """Two results that wait."""
    found = stored_at(f"sqlite:///{tmp_path / 'index.sqlite'}")
    found.add(1, 2)
    return found


@pytest.fixture
def receiving() -> Iterator[Callable[..., StorageSCP]]:
    """Start receivers of MR images."""
    with ExitStack() as running:
        yield lambda *given, **more: running.enter_context(running_storage_scp(*given, contexts=MR_IMAGES, **more))


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Start the node's listener on a database connection of its own, as in another process; gives its port."""
    running: list[Listener] = []

    def start(*remotes: RemoteSettings, ae_title: str = "RECTALNODE") -> int:
        index = Index(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"))
        settings = ListenerSettings(minimum_free_gb=0, ae_title=ae_title).model_copy(update={"port": 0})
        running.append(Listener(settings, remotes, ObjectStore(tmp_path), index))
        running[-1].start()
        return running[-1].port

    yield start
    for each in running:
        each.stop(patience_s=0.5)


@pytest.fixture
def unused_port() -> int:
    return free_port()


@pytest.fixture
def destination() -> Callable[..., RemoteSettings]:
    """Settings of the destination "pacs" at a port."""

    def make(port: int, **changes: float) -> RemoteSettings:
        return RemoteSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=port, **changes)

    return make
