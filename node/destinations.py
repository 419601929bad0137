"""Which destinations get which results of a study: by the kind of the object, and by what the study says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pydicom.errors import InvalidDicomError

from node.results.kinds import kind_of, selection_role
from node.settings import ADDITIONAL, Conditions, RemoteSettings, ResultKind
from storage.dicom_files import ELEMENT_ERRORS, read_dataset
from storage.files import ObjectStore
from storage.known_answer import AE_TITLE, DESTINATION
from storage.records import InstanceRecord

_KEYWORDS = {
    "station_name": "StationName",
    "institution_name": "InstitutionName",
    "modality": "Modality",
    "study_description": "StudyDescription",
}

#: The known-answer check, which takes the results of its own studies; nobody is called.
OF_CHECK = RemoteSettings(name=DESTINATION, ae_title=AE_TITLE, host="localhost", port=1, receives_results=True)

#: What the series of a study say, by key of `Conditions`.
Facts = Mapping[str, frozenset[str]]


def takes(remote: RemoteSettings, sop_class_uid: str, role: str = "") -> bool:
    """Whether a remote takes results of this role and SOP class; one without a kind goes to all.

    Of several Key Object Selections a remote takes the one that names the kinds that it gets. What one of an earlier
    release names, or one whose role was lost, is not known: it goes to who asks for one.
    """
    kind = kind_of(sop_class_uid, role)
    if role.startswith(f"{ResultKind.KEY_OBJECTS}-") and role != selection_role(remote.results):
        return False
    return kind is None or kind in remote.results


def additional_kinds(remotes: Iterable[RemoteSettings]) -> frozenset[ResultKind]:
    """The kinds beyond the usual ones that any of these destinations gets."""
    return frozenset(kind for remote in remotes for kind in remote.results if kind in ADDITIONAL)


def selections(remotes: Iterable[RemoteSettings]) -> frozenset[frozenset[ResultKind]]:
    """The kinds that each of these destinations gets that gets a Key Object Selection too, which names them."""
    return frozenset(frozenset(remote.results) for remote in remotes if ResultKind.KEY_OBJECTS in remote.results)


def chosen(remotes: Sequence[RemoteSettings], facts: Facts) -> tuple[tuple[RemoteSettings, ...], str]:
    """The remotes that get results of a study; where there are some and none does, why."""
    unmet = {remote.name: tuple(_unmet(remote, facts)) for remote in remotes}
    found = tuple(remote for remote in remotes if not unmet[remote.name])
    if found or not remotes:
        return found, ""
    return (), "no destination: " + "; ".join(f"{name} wants {' and '.join(each)}" for name, each in unmet.items())


def facts_of(instances: Iterable[InstanceRecord], files: ObjectStore, remotes: Iterable[RemoteSettings]) -> Facts:
    """What the series of a study say that remotes have conditions for: the first object of each is read.

    Raises:
        OSError: a file cannot be read.
    """
    first: dict[str, InstanceRecord] = {}
    callers = set()
    for instance in instances:
        first.setdefault(instance.header.series_instance_uid, instance)
        callers.add(instance.calling_ae)
    facts = {"calling_ae_title": frozenset(callers)}
    asked = [key for key in _KEYWORDS if any(getattr(remote.when, key) for remote in remotes)]
    found: dict[str, set[str]] = {key: set() for key in asked}
    for instance in first.values() if asked else ():
        try:
            header = read_dataset(
                files.absolute(instance.file), stop_before_pixels=True, specific_tags=[_KEYWORDS[key] for key in asked]
            )
            values = {key: str(header.get(_KEYWORDS[key], "")) for key in asked}
        except (*ELEMENT_ERRORS, InvalidDicomError):
            continue  # it says nothing; recognition names it
        for key, value in values.items():
            found[key].add(value)
    return {**facts, **{key: frozenset(values) for key, values in found.items()}}


def _unmet(remote: RemoteSettings, facts: Facts) -> Iterable[str]:
    """What a remote wants of a study that this one does not meet, in the words of the settings."""
    if not remote.receives_results and remote.title not in facts["calling_ae_title"]:
        yield f"what {remote.title} has sent itself"
    for key in Conditions.model_fields:
        pattern = getattr(remote.when, key)
        if pattern and not any(re.search(pattern, value) for value in facts.get(key, ())):
            yield f"{key} {pattern!r}"
