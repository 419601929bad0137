"""What identifies people in one data set, and whether a text or bytes that are kept hold it all the same.

The table of the standard says what attributes hold by their definition. People write names elsewhere as well: into the
name of a coil, a protocol, a comment. Whatever the data set itself says of its patient and of others is looked for in
all that is kept of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from pydicom import Dataset
from pydicom.multival import MultiValue

from node.deidentification import spellings
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
_DAYS = frozenset({"StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "AcquisitionDateTime"})
_LOOKED_AT = _IDENTIFYING | _DAYS | {"PatientBirthDate"}
#: What stands in the place of a name and names nobody.
_NOBODY = frozenset({"anonymous", "mri", "none", "not", "other", "phantom", "test", "unknown", "unnamed"})
_SHORTEST_NAME, _SHORTEST_ID, _SHORTEST_IN_BYTES = 3, 4, 6
_SEPARATORS = re.compile(r"[\^=\s,;.()\-_/]+")
_UID = re.compile(r"\d+(?:\.\d+){3,}")
_ENCODINGS = ("utf-8", "gb18030", "latin-1", "utf-16-le")


@dataclass(frozen=True)
class Identifiers:
    """What is known of people, in lower case.

    Attributes:
        names: parts of names.
        whole: names as first and second part, also of parts that are too short to be looked for alone.
        numbers: of the patient and the study.
        born: birth dates, YYYYMMDD.
        days: on which the patient was examined, which tell, in a text, by how much all dates are moved.
        uids: of objects.
    """

    names: frozenset[str]
    whole: frozenset[tuple[str, ...]]
    numbers: frozenset[str]
    born: frozenset[str]
    days: frozenset[str]
    uids: frozenset[str]

    def within(self, text: str) -> bool:
        """Whether a text has one of them: a number anywhere, a name as a word, a longer one anywhere."""
        if self._pattern is not None and self._pattern.search(spellings.plain(text)):
            return True
        return any(found in self.uids for found in _UID.findall(text))

    def within_term(self, term: str) -> bool:
        """The same of a term of a list of the standard, where words of anatomy and measurement are none of a person."""
        if self._pattern is None:
            return False
        found = (spellings.atoms(it.group()) for it in self._pattern.finditer(spellings.plain(term)))
        return any(not known_words().issuperset(atoms) for atoms in found)

    def number_within(self, text: str) -> bool:
        """Whether a text has a number of the patient or the birth date, however it is written."""
        return self._numbers is not None and self._numbers.search(spellings.plain(text)) is not None

    def is_birth(self, text: str) -> bool:
        """Whether a date, or the day of a moment, is a birth date."""
        return spellings.day(text) in self.born

    def within_bytes(self, content: bytes) -> bool:
        """Whether bytes have one of them in an encoding that text is in; short ones happen by chance."""
        lowered = content.lower()
        return any(needle in lowered for needle in self._needles)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        names = [*map(spellings.of_name, self.names), *map(spellings.of_whole_name, self.whole)]
        return _either([*names, *self._number_patterns, *map(spellings.of_day, self.days)])

    @cached_property
    def _numbers(self) -> re.Pattern[str] | None:
        return _either(self._number_patterns)

    @property
    def _number_patterns(self) -> list[str]:
        return [*map(spellings.of_number, self.numbers), *map(spellings.of_day, self.born)]

    @cached_property
    def _needles(self) -> tuple[bytes, ...]:
        days = {form for it in self.born | self.days for form in (it, *_written(it))}
        texts = self.names | self.numbers | set(map(spellings.squeezed, self.numbers)) | set(map("".join, self.whole))
        found = {it.encode(encoding, "ignore").lower() for it in texts | days for encoding in _ENCODINGS}
        return tuple(sorted(it for it in found if len(it) >= _SHORTEST_IN_BYTES))


def identifiers(*datasets: Dataset) -> Identifiers:
    """What data sets, with their items, say of people: all person names, numbers of the patient, the date of birth."""
    names: set[str] = set()
    whole: set[tuple[str, ...]] = set()
    numbers: set[str] = set()
    born: set[str] = set()
    days: set[str] = set()
    uids: set[str] = set()
    for keyword, vr, text in chain.from_iterable(map(_texts, datasets)):
        lowered = spellings.plain(text.strip())
        if vr == "PN":
            for name in spellings.variants(lowered):
                names.update(part for part in _SEPARATORS.split(name) if _is_name(part))
                whole.update(_whole(name))
        elif keyword == "PatientBirthDate":
            born |= {spellings.day(lowered)} - {""}
        elif keyword in _DAYS:
            days |= {spellings.day(lowered)} - {""}
        elif keyword in _IDENTIFYING and _is_number(lowered):
            numbers.add(lowered)
        elif vr == "UI" and keyword != "DeviceUID" and not is_registered(lowered):
            uids.add(lowered)
    return Identifiers(*map(frozenset, (names, whole, numbers, born, days, uids)))  # type: ignore[arg-type]


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
        elif element.VR in ("PN", "UI") or element.keyword in _LOOKED_AT:
            for text in strings(element.value):
                yield element.keyword, element.VR, text


def _is_name(part: str) -> bool:
    return len(part) >= (2 if not part.isascii() else _SHORTEST_NAME) and not part.isdigit() and part not in _NOBODY


def _is_number(text: str) -> bool:
    """Whether a number is looked for: a short one only where it has letters and digits."""
    plain = spellings.squeezed(text)
    if len(plain) == _SHORTEST_ID - 1:
        return not plain.isdigit() and not plain.isalpha()
    return len(plain) >= _SHORTEST_ID and plain not in _NOBODY


def _whole(name: str) -> Iterator[tuple[str, ...]]:
    """The first two components of each group of a name, one after the other in both orders."""
    for group in name.split("="):
        family, given = (spellings.atoms(part) for part in [*group.split("^"), "", ""][:2])
        if family and given and not _NOBODY.intersection((*family, *given)):
            yield (*family, *given)
            yield (*given, *family)


def _written(day: str) -> Iterator[str]:
    year, month, date = day[:4], day[4:6], day[6:]
    for mark in "-./":
        yield mark.join((year, month, date))
        yield mark.join((date, month, year))


def _either(patterns: Iterable[str]) -> re.Pattern[str] | None:
    some = sorted(filter(None, patterns))
    return re.compile("|".join(some)) if some else None
