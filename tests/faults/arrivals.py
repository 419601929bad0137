"""What a destination has: each result once, or again with the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pydicom

from node.settings import Settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.records import DELIVERED

from .acknowledged import data_set_digest


@dataclass(frozen=True)
class Arrivals:
    """Results that a node says are at a destination, against the files that came there.

    Attributes:
        results: how many results there are.
        again: how many came more than once with the same bytes, counted each time but the first.
        missing: those that did not come.
        changed: those that came with other bytes than the node holds.
    """

    results: int
    again: int
    missing: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether each is there with its bytes."""
        return not self.missing and not self.changed


def sop_instance_uid(file: bytes) -> str:
    """Of a DICOM file."""
    return str(pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True).SOPInstanceUID)


def arrivals(settings: Settings, destination: str, files: Iterable[bytes], studies: Sequence[str]) -> Arrivals:
    """Compare the files that a destination was sent with what the node says of its deliveries there."""
    came: dict[str, list[str]] = {}
    for file in files:
        came.setdefault(sop_instance_uid(file), []).append(data_set_digest(file))
    engine = open_engine(settings.storage_url)
    try:
        records = [each for uid in studies for each in Deliveries(engine).records(uid)]
    finally:
        engine.dispose()
    here = {
        str(each.result.sop_instance_uid): each.result.file.digest
        for each in records
        if each.destination == destination and each.state in DELIVERED
    }
    return Arrivals(
        results=len(here),
        again=sum(len(came[uid]) - 1 for uid in here if uid in came),
        missing=tuple(uid for uid in here if uid not in came),
        changed=tuple(uid for uid, digest in here.items() if set(came.get(uid, ())) - {digest}),
    )
