"""The state of the node: every study with its deliveries, and the quarantine; read from the storage alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from models.plausibility.records import Location, SetAside
from node.analysis.withdrawal import Withdrawal, withdrawals
from node.recognition.record import RoleRefusal, SeriesVerdict, from_json
from node.settings import Settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.index import Index
from storage.records import DELIVERED, DeliveryState, QuarantineRecord, StudyRecord

#: States of an object that its destination has.
ARRIVED = DELIVERED | {DeliveryState.REVOKED}


@dataclass(frozen=True, slots=True)
class StudyLine:
    """One study: what is known of it and how far its results have got, by destination."""

    study: StudyRecord
    refusals: tuple[RoleRefusal, ...]
    warnings: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    locations: tuple[Location, ...]
    series: tuple[SeriesVerdict, ...]
    deliveries: dict[str, dict[str, int]]
    delivery_reasons: tuple[str, ...]
    withdrawals: tuple[Withdrawal, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that `status` shows."""

    studies: tuple[StudyLine, ...]
    quarantine: tuple[QuarantineRecord, ...]


def collect(settings: Settings, study_instance_uid: str = "") -> Report:
    """Read the report from the storage; no running node is needed.

    Args:
        settings: where the storage is.
        study_instance_uid: only this study where given.
    """
    settings.root.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.storage_url)
    index, of_all = Index(engine), Deliveries(engine)
    found = index.study(study_instance_uid) if study_instance_uid else None
    studies = index.studies() if not study_instance_uid else ((found,) if found else ())
    report = Report(tuple(_line(study, index, of_all) for study in studies), index.quarantined())
    engine.dispose()  # callers that wait for something ask again and again
    return report


def _line(study: StudyRecord, index: Index, of_all: Deliveries) -> StudyLine:
    document = index.verdict(study.study_instance_uid)
    plan = from_json(document) if document else None
    counts: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    deliveries = of_all.records(study.study_instance_uid)
    for delivery in deliveries:
        counts.setdefault(delivery.destination, Counter())[delivery.state] += 1
        if delivery.reason and delivery.state not in ARRIVED:
            reasons[f"{delivery.destination}: {delivery.reason}"] += 1
    return StudyLine(
        study=study,
        refusals=plan.refusals if plan else (),
        warnings=plan.warnings if plan else (),
        set_aside=plan.set_aside if plan else (),
        locations=plan.locations if plan else (),
        series=plan.verdicts if plan else (),
        deliveries={name: dict(count) for name, count in counts.items()},
        delivery_reasons=tuple(reasons),
        withdrawals=withdrawals(deliveries),
    )
