"""What identifies people in one data set, and whether a text or bytes that are kept hold it all the same.

The table of the standard says what attributes hold by their definition. People write names elsewhere as well: into the
name of a coil, a protocol, a comment. Whatever the data set itself says of its patient and of others is looked for in
all that is kept of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from pydicom import Dataset
from pydicom.multival import MultiValue

from node.deidentification.patient import is_registered
from node.deidentification.profile import known_words
from node.recognition.header.elements import MALFORMED

_IDENTIFYING = frozenset(
    {
        *("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "AdmissionID", "MedicalRecordLocator"),
        *("RequestedProcedureID", "ServiceEpisodeID", "PlacerOrderNumberImagingServiceRequest"),
        *("FillerOrderNumberImagingServiceRequest", "PatientTelephoneNumbers", "PatientAddress", "ResponsiblePerson"),
        *("InstitutionName", "InstitutionAddress"),
        *("InsurancePlanIdentification", "ClinicalTrialSubjectID", "PatientBirthName", "PatientMotherBirthName"),
    }
)
#: What stands in the place of a name and names nobody.
_NOBODY = frozenset({"anonymous", "mri", "none", "not", "other", "phantom", "test", "unknown", "unnamed"})
_SHORTEST_NAME, _SHORTEST_ID, _SHORTEST_IN_BYTES = 3, 4, 6
_WITHIN_WORDS = 6  # letters from which on a name is looked for within longer words
_SEPARATORS = re.compile(r"[\^=\s,;.()\-_/]+")
_UID = re.compile(r"\d+(?:\.\d+){3,}")
_ENCODINGS = ("utf-8", "gb18030", "latin-1", "utf-16-le")


@dataclass(frozen=True)
class Identifiers:
    """Names (parts of them) and numbers, in lower case, and UIDs."""

    names: frozenset[str]
    numbers: frozenset[str]
    uids: frozenset[str]

    def within(self, text: str) -> bool:
        """Whether a text has one of them: a number anywhere, a name as a word, a longer one anywhere."""
        if self._pattern is not None and self._pattern.search(text.lower()):
            return True
        return any(found in self.uids for found in _UID.findall(text))

    def within_term(self, term: str) -> bool:
        """The same of a term of a list of the standard, where words of anatomy and measurement are none of a person."""
        if self._pattern is None:
            return False
        return any(found.group() not in known_words() for found in self._pattern.finditer(term.lower()))

    def within_bytes(self, content: bytes) -> bool:
        """Whether bytes have one of them in an encoding that text is in; short ones happen by chance."""
        lowered = content.lower()
        return any(needle in lowered for needle in self._needles)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        parts = [re.escape(it) if _is_long(it) else rf"(?<![^\W_]){re.escape(it)}(?![^\W_])" for it in self.names]
        parts += [rf"(?<!\d){re.escape(it)}(?!\d)" for it in self.numbers]
        return re.compile("|".join(sorted(parts))) if parts else None

    @cached_property
    def _needles(self) -> tuple[bytes, ...]:
        found = {it.encode(encoding, "ignore").lower() for it in self.names | self.numbers for encoding in _ENCODINGS}
        return tuple(sorted(it for it in found if len(it) >= _SHORTEST_IN_BYTES))


def identifiers(*datasets: Dataset) -> Identifiers:
    """What data sets, with their items, say of people: all person names, numbers of the patient, the date of birth."""
    names: set[str] = set()
    numbers: set[str] = set()
    uids: set[str] = set()
    for keyword, vr, text in chain.from_iterable(map(_texts, datasets)):
        lowered = text.strip().lower()
        if vr == "PN":
            parts = [part for part in _SEPARATORS.split(lowered) if _is_name(part)]
            names.update(parts, {"".join(parts), "".join(reversed(parts))} if len(parts) == 2 else ())
        elif keyword == "PatientBirthDate":
            numbers |= {lowered, f"{lowered[:4]}-{lowered[4:6]}-{lowered[6:]}"} if len(lowered) == 8 else set()
        elif keyword in _IDENTIFYING and len(lowered) >= _SHORTEST_ID:
            numbers.add(lowered)
        elif vr == "UI" and keyword != "DeviceUID" and not is_registered(lowered):
            uids.add(lowered)
    return Identifiers(frozenset(names), frozenset(numbers), frozenset(uids))


def strings(value: object) -> Iterator[str]:
    """The values of an element as text, without what is none."""
    if isinstance(value, MultiValue | list | tuple):
        for each in value:
            yield from strings(each)
    elif value is not None and not isinstance(value, bytes):
        yield str(value)


def _texts(dataset: Dataset) -> Iterator[tuple[str, str, str]]:
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except MALFORMED:
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in ("PN", "UI", "DA") or element.keyword in _IDENTIFYING:
            for text in strings(element.value):
                yield element.keyword, element.VR, text


def _is_name(part: str) -> bool:
    return len(part) >= (2 if not part.isascii() else _SHORTEST_NAME) and not part.isdigit() and part not in _NOBODY


def _is_long(name: str) -> bool:
    return len(name) >= _WITHIN_WORDS or not name.isascii()
