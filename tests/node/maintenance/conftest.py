"""A node's storage for its maintenance."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.maintenance.service import MaintenanceService
from node.settings import Settings
from storage.alerts import Alerts
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index


@pytest.fixture
def engine(tmp_path: Path):
    opened = open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")
    yield opened
    opened.dispose()


@pytest.fixture
def alerts(engine) -> Alerts:
    return Alerts(engine)


@pytest.fixture
def maintain(engine, tmp_path: Path):
    """Starts the maintenance of a node with these settings; it stops with the test."""
    running: list[MaintenanceService] = []

    def start(**settings: object) -> MaintenanceService:
        index = Index(engine)
        running.append(MaintenanceService(Settings(root=tmp_path, **settings), ObjectStore(tmp_path), index))
        running[-1].start()
        return running[-1]

    yield start
    for service in running:
        service.stop()
