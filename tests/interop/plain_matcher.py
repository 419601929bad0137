"""Matcher of C-FIND identifiers in memory, written from PS3.4 Annex C alone; slow and plain, to compare others with.

Where the standard leaves a choice, this is what is commonly asked:

* Entities (C.6.1, C.6.2). One entity per unique key; its attributes are those of its first instance in the order given.
  The patient is Patient ID with its issuer; who has no Patient ID is no entity at PATIENT level (C.2.2.1.1). Below it,
  patient attributes are those of the study (Study Root). Keys of a level above the level of the query, unique or not,
  are matched against the entity above, and none is required, as for relational queries (C.4.1.3.2.2). Keys of a level
  below, private keys and keys of the answering application (Retrieve AE Title ...) take no part.
* Attribute absent or empty in the entity: an empty key matches it, and the wild card `*` alone, nothing else. ("All
  matching against the zero length Required Key shall be considered a successful match", C.2.2.1.2, is read as that.)
* PN is folded: no case, no combining accent of U+0300 to U+036F (a Japanese voicing mark is none), no spaces around
  components, no empty components at the end. A name of fewer components than the key has empty ones: `muller^*` matches
  `MULLER`. A key of one component group is matched against the alphabetic group when it is ASCII, against any group
  otherwise; a key of several groups group by group, an empty group matching all.
* All other text is compared exactly after its padding is removed (PS3.5 6.2), numbers by value.
* DA, TM, DT: a stored value of less precision is its earliest moment; a key of less precision is all moments it covers,
  and so is the end of a range: `10` matches 10:59:59, `-1030` matches 10:30:59. DT without an offset is UTC. Timezone
  Offset From UTC is no key and shifts nothing (Timezone Query Adjustment is not negotiated).
* Several values in a key that is no UID: undefined without negotiation; any may match. `all_values` is C.2.2.2.8.
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from pydicom import DataElement, Dataset
from pydicom.multival import MultiValue

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")

# C.6.1.1.2 to C.6.1.1.5: the unique keys; below the patient with those of the levels above, but for the patient's.
UNIQUE = {
    "PATIENT": ("PatientID", "IssuerOfPatientID"),
    "STUDY": ("StudyInstanceUID",),
    "SERIES": ("StudyInstanceUID", "SeriesInstanceUID"),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}

# Tables C.6-1 to C.6-3 and C.6-5, and the modules of PS3.3 of the same entities; all others are of the instance.
ATTRIBUTES = {
    "PATIENT": """PatientName PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence TypeOfPatientID
        PatientBirthDate PatientBirthTime PatientSex OtherPatientIDs OtherPatientIDsSequence OtherPatientNames
        PatientBirthName PatientMotherBirthName EthnicGroup PatientComments ReferencedPatientSequence ResponsiblePerson
        NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances""",
    "STUDY": """StudyInstanceUID StudyDate StudyTime AccessionNumber IssuerOfAccessionNumberSequence StudyID
        StudyDescription ReferringPhysicianName ConsultingPhysicianName NameOfPhysiciansReadingStudy PhysiciansOfRecord
        ProcedureCodeSequence ReasonForPerformedProcedureCodeSequence AdmittingDiagnosesDescription
        ReferencedStudySequence PatientAge PatientSize PatientWeight Occupation AdditionalPatientHistory MedicalAlerts
        Allergies PregnancyStatus AdmissionID ServiceEpisodeID OtherStudyNumbers ModalitiesInStudy SOPClassesInStudy
        NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances""",
    "SERIES": """SeriesInstanceUID Modality SeriesNumber SeriesDate SeriesTime SeriesDescription
        SeriesDescriptionCodeSequence Laterality BodyPartExamined PatientPosition ProtocolName PerformingPhysicianName
        OperatorsName RequestAttributesSequence PerformedProcedureStepID PerformedProcedureStepDescription
        PerformedProcedureStepStartDate PerformedProcedureStepStartTime PerformedProcedureStepEndDate
        PerformedProcedureStepEndTime PerformedProtocolCodeSequence FrameOfReferenceUID PositionReferenceIndicator
        Manufacturer ManufacturerModelName InstitutionName InstitutionAddress InstitutionalDepartmentName StationName
        DeviceSerialNumber SoftwareVersions NumberOfSeriesRelatedInstances""",
}
LEVEL_OF = {keyword: level for level, keywords in ATTRIBUTES.items() for keyword in keywords.split()}

# C.3.4, Table C.3-1: attributes that no instance has; what is listed or counted, and within which entity.
LISTED = {"ModalitiesInStudy": "Modality", "SOPClassesInStudy": "SOPClassUID"}
COUNTED = {
    "NumberOfPatientRelatedStudies": ("STUDY", "PATIENT"),
    "NumberOfPatientRelatedSeries": ("SERIES", "PATIENT"),
    "NumberOfPatientRelatedInstances": ("IMAGE", "PATIENT"),
    "NumberOfStudyRelatedSeries": ("SERIES", "STUDY"),
    "NumberOfStudyRelatedInstances": ("IMAGE", "STUDY"),
    "NumberOfSeriesRelatedInstances": ("IMAGE", "SERIES"),
}

# C.2.2.2, C.4.1.1.3.1, C.4.1.1.3.2: they describe the query, its characters or where to retrieve; never matched.
NOT_MATCHED = {
    *("SpecificCharacterSet", "QueryRetrieveLevel", "QueryRetrieveView", "TimezoneOffsetFromUTC", "RetrieveAETitle"),
    *("InstanceAvailability", "StorageMediaFileSetID", "StorageMediaFileSetUID", "RetrieveURL", "RetrieveURI"),
}

WILD_CARDS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}  # C.2.2.2.4
NUMBERS = {"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"}
LEADING_SPACES_COUNT = {"LT", "ST", "UC", "UR", "UT"}  # PS3.5 6.2: of these only spaces at the end are padding

Entities = dict[tuple[str, ...], list[Dataset]]


def matches(
    level: str, keys: Dataset, entities: Sequence[Dataset], *, combined_datetime: bool = False, all_values: bool = False
) -> list[tuple[str, ...]]:
    """The unique keys (`UNIQUE`) of the entities at `level` that match all keys, sorted; `entities` are instances."""
    instances: Entities = {}
    for instance in entities:
        for each in LEVELS:
            instances.setdefault((each, *identity(each, instance)), []).append(instance)
    matcher = _Matcher(combined_datetime, all_values)
    wanted = _keys_of(level, keys)
    return sorted(
        unique
        for (of, *unique_keys), members in instances.items()
        if of == level
        and (unique := tuple(unique_keys))[0]  # C.2.2.1.1: an entity has a unique key of non-zero length
        and matcher.item(wanted, _attributes(level, wanted, members[0], instances))
    )


def identity(level: str, instance: Dataset) -> tuple[str, ...]:
    """Unique keys of the entity at `level` that the instance belongs to."""
    return tuple(str(instance.get(keyword) or "").strip(" \0") for keyword in UNIQUE[level])


def _keys_of(level: str, keys: Dataset) -> Dataset:
    """Keys that take part at this level."""
    wanted = Dataset()
    for key in keys:
        below = LEVELS.index(LEVEL_OF.get(key.keyword, "IMAGE")) > LEVELS.index(level)  # C.4.1.3.1.1: not allowed
        if not below and key.keyword not in NOT_MATCHED and not key.tag.is_private and key.tag.element:
            wanted.add(key)
    return wanted


def _attributes(level: str, keys: Dataset, instance: Dataset, instances: Entities) -> Dataset:
    """Attributes of the entity that the instance is the first of, and of the entities above it, as far as asked."""
    record = Dataset()
    for key in keys:
        owner = LEVEL_OF.get(key.keyword, "IMAGE")
        if key.keyword in LISTED:
            study = instances[("STUDY", *identity("STUDY", instance))]
            found = {str(each.get(LISTED[key.keyword]) or "") for each in study}
            setattr(record, key.keyword, sorted(found - {""}))
        elif key.keyword in COUNTED:
            of, within = COUNTED[key.keyword]
            members = instances[(within, *identity(within, instance))]
            setattr(record, key.keyword, len({identity(of, each) for each in members}))
        else:
            if owner == "PATIENT" and level != "PATIENT":
                owner = "STUDY"  # C.6.2.1: in the Study Root the attributes of patients are attributes of studies
            first = instances[(owner, *identity(owner, instance))][0]
            if key.tag in first:
                record.add(first[key.tag])
    return record


class _Matcher:
    """Comparison of keys with the attributes of one entity or of one item, as negotiated."""

    def __init__(self, combined_datetime: bool, all_values: bool) -> None:
        self.combined_datetime, self.all_values = combined_datetime, all_values

    def item(self, keys: Dataset, stored: Dataset) -> bool:
        """C.4.1.3.1.1: an entity matches when every key matches."""
        pairs = list(_pairs(keys)) if self.combined_datetime else []
        paired = {keyword for date, time, _ in pairs for keyword in (date, time)}
        return all(self.element(key, stored) for key in keys if key.keyword not in paired) and all(
            _pair(key, stored, date, time) for date, time, key in pairs
        )

    def element(self, key: DataElement, stored: Dataset) -> bool:
        if key.VR == "SQ":
            return self.sequence(key, stored)
        wanted = _values(key)
        if not wanted or (wanted == ["*"] and key.VR in WILD_CARDS):
            return True  # C.2.2.2.3 universal; C.2.2.2.4 note: "*" is equivalent to it
        found = _values(stored[key.tag]) if key.tag in stored else []
        # C.2.2.3: of an attribute of several values one that matches is enough.
        answers = [any(_single(key.VR, value, each) for each in found) for value in wanted]
        if key.VR == "UI":
            return any(answers)  # C.2.2.2.2: each UID in the list may generate a match
        return all(answers) if self.all_values else any(answers)  # C.2.2.2.8

    def sequence(self, key: DataElement, stored: Dataset) -> bool:
        """C.2.2.2.6: one item of the key; all its keys match in at least one item of the attribute."""
        if len(key.value) > 1:
            raise ValueError(f"{key.keyword}: a key that is a sequence has a single item, not {len(key.value)}")
        if not key.value or self.item(key.value[0], Dataset()):
            return True  # no item, a zero-length item, or universal keys alone, which match what is absent too
        items = stored[key.tag].value if key.tag in stored else []
        return any(self.item(key.value[0], each) for each in items)


def _values(element: DataElement) -> list[str]:
    """Values of non-zero length as text without padding; names in the form that is compared."""
    several = element.value if isinstance(element.value, (MultiValue, list)) else [element.value]
    return [text for each in several if (text := _bare(element.VR, "" if each is None else str(each)))]


def _bare(vr: str, text: str) -> str:
    """Text without what does not count (PS3.5 6.2): padding, and in names spaces and empty components at the end."""
    if vr == "PN":  # PS3.5 6.2.1.1: empty components at the end need not be there, nor their delimiters
        groups = ("^".join(part.strip(" ") for part in group.split("^")).rstrip("^") for group in text.split("="))
        return "=".join(groups).rstrip("=")
    return text.rstrip(" \0") if vr in LEADING_SPACES_COUNT else text.strip(" \0")


def _single(vr: str, key: str, value: str) -> bool:
    """One value of a key against one value of an attribute, both of non-zero length."""
    if vr == "PN":
        return _person(key, value)
    if vr in FORM:
        return _moment(vr, key, value)
    if vr in NUMBERS:
        return float(key) == float(value)
    if vr in WILD_CARDS:
        return _wild(key, value)
    return key == value  # C.2.2.2.1: exactly, and sensitive to case


def _wild(key: str, value: str) -> bool:
    """C.2.2.2.4: `*` is any characters, none too, `?` is one; without either C.2.2.2.1, exactly."""
    pattern = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in key)
    return re.fullmatch(pattern, value, re.DOTALL) is not None


def fold(text: str) -> str:
    """Text without case and accents (C.2.2.2.1 leaves both to the application for PN)."""
    letters = unicodedata.normalize("NFD", text.casefold())
    return unicodedata.normalize("NFC", "".join(each for each in letters if not "\u0300" <= each <= "\u036f"))


def _person(key: str, value: str) -> bool:
    wanted, groups = key.split("="), value.split("=")
    if len(wanted) == 1:
        return any(_group(key, group) for group in (groups[:1] if key.isascii() else groups))
    groups += [""] * len(wanted)
    return all(not part or _group(part, group) for part, group in zip(wanted, groups, strict=False))


def _group(key: str, group: str) -> bool:
    missing = max(0, key.count("^") - group.count("^"))  # PS3.5 6.2.1.1: omitted components are empty ones
    return _wild(fold(key), fold(group) + "^" * missing)


# PS3.5 6.2 with the forms of ACR-NEMA; offsets are -1200 to +1400, so that the hyphen of `2020-2021` is a range's.
FORM = {
    "DA": r"(?:\d{8}|\d{4}\.\d\d\.\d\d)",
    "TM": r"(?:\d\d(?::?\d\d(?::?\d\d(?:\.\d{1,6})?)?)?)",
    "DT": r"(?:\d{4}(?:\d\d){0,5}(?:(?<=\d{14})\.\d{1,6})?(?:-(?:0\d|1[0-2])[0-5]\d|\+(?:0\d|1[0-4])[0-5]\d)?)",
}


def _moment(vr: str, key: str, value: str) -> bool:
    """C.2.2.2.1 for one date, time or datetime, C.2.2.2.5.1 to C.2.2.2.5.3 for a range of them; no other form."""
    start, end = (key, key) if re.fullmatch(FORM[vr], key) else _ends(vr, key)
    if not re.fullmatch(FORM[vr], value) or not (start or end):
        return False
    try:
        moment = _span(vr, value)[0]
        return (not start or _span(vr, start)[0] <= moment) and (not end or moment <= _span(vr, end)[1])
    except (ValueError, OverflowError):
        return False  # a DT of no day of the calendar is no moment


def _ends(vr: str, key: str) -> tuple[str, str]:
    """Both ends of a range, one of them empty in a half-open one; both empty in what is no range."""
    found = re.fullmatch(f"({FORM[vr]})? *- *({FORM[vr]})?", key)
    return (found[1] or "", found[2] or "") if found else ("", "")


def _span(vr: str, text: str) -> tuple[str, str]:
    """First and last moment that a value covers, as text in their order; DT in UTC (C.2.2.2.5.3 d: offsets count)."""
    if vr == "DA":
        return text.replace(".", ""), text.replace(".", "")
    if vr == "TM":
        digits = re.sub("[.:]", "", text)
        return digits + "000000000000"[len(digits) :], digits + "235959999999"[len(digits) :]
    local, sign, offset = re.split("([+-])", f"{text}+0000")[:3]
    low = high = local.replace(".", "")
    low += "00000101000000000000"[len(low) :]
    high += "99991231235959999999"[len(high) :]
    if len(local) < 8:
        high = f"{high[:6]}{calendar.monthrange(int(high[:4]), int(high[4:6]))[1]:02}{high[8:]}"
    shift = timedelta(hours=int(offset[:2]), minutes=int(offset[2:])) * (-1 if sign == "+" else 1)
    first, last = (datetime.strptime(each, "%Y%m%d%H%M%S%f") + shift for each in (low, high))
    return first.isoformat(timespec="microseconds"), last.isoformat(timespec="microseconds")


def _pairs(keys: Dataset) -> Iterator[tuple[str, str, str]]:
    """C.2.2.2.5.4: each date and time that specify the same form of range, and that range as one of datetimes."""
    for key in keys:
        time = re.sub("Date$", "Time", key.keyword)
        if key.VR != "DA" or time == key.keyword or time not in keys:
            continue
        dates, times = _ends("DA", "".join(_values(key))), _ends("TM", "".join(_values(keys[time])))
        if any(dates) and [bool(end) for end in dates] == [bool(end) for end in times]:
            yield key.keyword, time, "-".join(_joined(*end) for end in zip(dates, times, strict=True))


def _pair(key: str, stored: Dataset, date: str, time: str) -> bool:
    """C.2.2.2.5.4: date and time of the entity as one datetime in the range; without either no match."""
    dates = _values(stored[date]) if date in stored else []
    times = _values(stored[time]) if time in stored else []
    return bool(dates and times) and _moment("DT", key, _joined(dates[0], times[0]))


def _joined(date: str, time: str) -> str:
    return date.replace(".", "") + time.replace(":", "")
