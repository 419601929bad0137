"""Events as they are put on record, and the schema of their messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import Engine

from node.audit.chain_file import ChainFile
from node.audit.participants import Reporter
from node.settings import AuditSettings, Settings
from storage.audit import Audit, AuditAction, AuditEvent, Facts
from storage.database import open_engine

from ..conftest import MovedClock

REPORTER = Reporter("RECTALNODE", "mri-node", "St. Elsewhere")
SCHEMA = Path(__file__).parent / "audit-message.rng"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def audit(engine: Engine) -> Audit:
    return Audit(engine)


@pytest.fixture(scope="session")
def schema() -> etree.RelaxNG:
    """PS3.15 A.5.1.1."""
    return etree.RelaxNG(etree.parse(SCHEMA))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path, audit=AuditSettings(rotate_mb=0.002))


@pytest.fixture
def files(settings: Settings) -> ChainFile:
    return ChainFile(settings.audit_folder, 2000)


@pytest.fixture
def event(clock: MovedClock):
    """One event of an action, as the rooms put it on record."""

    def make(action: AuditAction = AuditAction.LOOKED, **said: object) -> AuditEvent:
        values = {"account": "olga", "address": "10.0.0.1", "study_instance_uid": "1.2.3", "patient_id": "P1", **said}
        return AuditEvent(clock(), action, bool(values.pop("succeeded", True)), **values)

    return make


def of_system(event, action: AuditAction, service: str, **facts: object) -> AuditEvent:
    """One that another system did."""
    return event(action, account="", remote="SCANNER", facts=Facts(service=service, **facts))
