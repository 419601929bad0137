"""What became of the objects of a request that stores: the data set that says so, and the status (PS3.18 10.5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from node.dicom.command import Refusal
from node.services.store import OUT_OF_RESOURCES

_RETRIEVE_URL, _REFERENCED, _FAILED, _OTHERS = "00081190", "00081199", "00081198", "0008119A"
_CLASS, _INSTANCE, _REASON = "00081150", "00081155", "00081197"


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a part; its UIDs are empty where it has none that could be read."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    refusal: Refusal | None

    @property
    def path(self) -> str:
        """Of the object below the service."""
        study, series = self.study_instance_uid, self.series_instance_uid
        return f"studies/{study}/series/{series}/instances/{self.sop_instance_uid}"


def status_of(stored: Sequence[Stored]) -> int:
    """200 where all were stored, 202 where some were, 409 where none was; 503 where there was no room for any."""
    refusals = [each.refusal for each in stored if each.refusal is not None]
    if not refusals:
        return 200
    if len(refusals) < len(stored):
        return 202
    return 503 if all(refusal.status == OUT_OF_RESOURCES for refusal in refusals) else 409


def answer_of(stored: Sequence[Stored], service: str) -> dict[str, Any]:
    """The Store Instances Response Module (PS3.18 Table I.2-1), in the DICOM JSON model."""
    kept = [each for each in stored if each.refusal is None]
    failed = [each for each in stored if each.refusal is not None and each.sop_instance_uid]
    unnamed = [each for each in stored if each.refusal is not None and not each.sop_instance_uid]
    found: dict[str, Any] = {}
    studies = {each.study_instance_uid for each in kept}
    if len(studies) == 1:
        found[_RETRIEVE_URL] = _url(f"{service}/studies/{studies.pop()}")
    sequences = {
        _REFERENCED: [_named(each) | {_RETRIEVE_URL: _url(f"{service}/{each.path}")} for each in kept],
        _FAILED: [_named(each) | _reason(each) for each in failed],
        _OTHERS: [_reason(each) for each in unnamed],
    }
    found.update({tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items})
    return dict(sorted(found.items()))


def _named(each: Stored) -> dict[str, Any]:
    return {
        _CLASS: {"vr": "UI", "Value": [each.sop_class_uid]},
        _INSTANCE: {"vr": "UI", "Value": [each.sop_instance_uid]},
    }


def _reason(each: Stored) -> dict[str, Any]:
    assert each.refusal is not None
    return {_REASON: {"vr": "US", "Value": [each.refusal.status]}}


def _url(address: str) -> dict[str, Any]:
    return {"vr": "UR", "Value": [address]}
