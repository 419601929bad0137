"""Whom headers name, and when two of them name different patients. Pure: values in, values out.

Two headers contradict one another when both state a Patient ID and these differ, or both state a birth date and these
differ, or both state an Issuer of Patient ID and these differ with the same ID. What is absent contradicts nothing.
The name decides nothing: spelling, case, ideographic and phonetic groups differ for one patient.

IDs and issuers are compared without regard to case, width of letters and number of blanks, birth dates as dates.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from datetime import date

from node.recognition.header.spelling import read_date
from storage.records import NOBODY, PatientIdentity


def identity(identifier: str, issuer: str = "", birth_date: str = "") -> PatientIdentity:
    """The identity that a header states, as digests; an issuer without an ID and a date that is none do not count."""
    known, day = _plain(identifier), read_birth_date(birth_date)
    return PatientIdentity(
        identifier=_digest("identifier", known),
        issuer=_digest("issuer", _plain(issuer)) if known else "",
        born=_digest("born", day.isoformat()) if day else "",
    )


def read_birth_date(text: str) -> date | None:
    """A date as headers hold it (`spelling.read_date`), in letters of any width; None where it is none."""
    return read_date(unicodedata.normalize("NFKC", text))


def contradict(one: PatientIdentity, other: PatientIdentity) -> bool:
    """Whether two headers name different patients."""
    return bool(differences(one, other))


def differences(one: PatientIdentity, other: PatientIdentity) -> tuple[str, ...]:
    """The elements that two headers both state and state differently, in the words of the standard."""
    same_identifier = bool(one.identifier) and one.identifier == other.identifier
    pairs = {
        "Patient ID": (one.identifier, other.identifier),
        "Issuer of Patient ID": (one.issuer, other.issuer) if same_identifier else ("", ""),
        "birth date": (one.born, other.born),
    }
    return tuple(name for name, (first, second) in pairs.items() if first and second and first != second)


def merged(one: PatientIdentity, other: PatientIdentity) -> PatientIdentity:
    """All that two headers of one patient state."""
    identifier = one.identifier or other.identifier
    issuers = (it.issuer for it in (one, other) if it.identifier == identifier)
    return PatientIdentity(identifier, next(filter(None, issuers), ""), one.born or other.born)


def persons(stated: Iterable[PatientIdentity]) -> tuple[PatientIdentity, ...]:
    """The different patients among headers, each with all that is stated of them; two or more contradict one another.

    A header that fits several of them tells of none.
    """
    found: list[PatientIdentity] = []
    for patient in sorted(set(stated) - {NOBODY}, key=_fullest_first):
        fitting = [index for index, person in enumerate(found) if not contradict(person, patient)]
        if not fitting:
            found.append(patient)
        elif len(fitting) == 1:
            found[fitting[0]] = merged(found[fitting[0]], patient)
    return tuple(found)


def person_of(patient: PatientIdentity, known: tuple[PatientIdentity, ...]) -> int | None:
    """Which of several persons a header names, by index; None where it fits several or states nothing."""
    fitting = [index for index, person in enumerate(known) if not contradict(person, patient)]
    return fitting[0] if len(fitting) == 1 and patient != NOBODY else None


def meant_among(known: tuple[PatientIdentity, ...], meant: PatientIdentity) -> tuple[PatientIdentity, ...]:
    """The persons that have the ID which was said and contradict nothing else that was said."""
    return tuple(it for it in known if is_meant(it, meant))


def is_meant(stated: PatientIdentity, meant: PatientIdentity) -> bool:
    """Whether a header has the ID which was said and contradicts nothing else that was said."""
    return stated.identifier == meant.identifier and not contradict(stated, meant)


def completeness(patient: PatientIdentity) -> tuple[bool, int]:
    """How much a header states: an ID before anything else."""
    return bool(patient.identifier), sum(map(bool, (patient.identifier, patient.issuer, patient.born)))


def _fullest_first(patient: PatientIdentity) -> tuple[bool, int, PatientIdentity]:
    has_identifier, stated = completeness(patient)
    return not has_identifier, -stated, patient


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).replace("\0", " ").split()).casefold()


def _digest(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}\0{value}".encode("utf-8", "replace")).hexdigest() if value else ""
