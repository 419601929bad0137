"""Identifiers of a patient in every attribute that can hold them, and the search for them in bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, config
from pydicom.datadict import DicomDictionary, dictionary_keyword
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from node.deidentification.instance import Deidentified
from node.deidentification.profile import Action, table

ENCODINGS = ("utf-8", "gb18030", "latin-1", "utf-16-le", "utf-16-be")
#: What a data set is read by; a name in them would be no data set any more.
_STRUCTURE = re.compile(
    r"(SpecificCharacterSet|SOPClassUID|TransferSyntaxUID|.*ClassUID.*|.*ClassesIn.*|PixelData.*|.*TransferSyntax.*"
    r"|Modality|ImageType|BurnedInAnnotation|SamplesPerPixel|PhotometricInterpretation|Manufacturer|LengthToEnd"
    r"|CodingSchemeUID|ContextUID|MappingResourceUID|FloatPixelData|DoubleFloatPixelData|Rows|Columns|Bits.*"
    r"|DataSetTrailingPadding|SOPInstanceUID|StudyInstanceUID|SeriesInstanceUID|PlanarConfiguration|NumberOfFrames)"
)
_TEXT = {"AE": 16, "LO": 64, "LT": 500, "SH": 16, "ST": 500, "UC": 500, "UR": 500, "UT": 500, "PN": 64}


@dataclass(frozen=True)
class Person:
    """A patient, as headers and people name them."""

    family: str
    given: str
    ideographic: str
    patient_id: str
    accession: str
    study_id: str
    born: str
    day: str
    uids: str

    @property
    def name(self) -> str:
        return f"{self.family}^{self.given}={self.ideographic}"

    @property
    def words(self) -> tuple[str, ...]:
        """What must not be found, in whatever case and encoding."""
        return (self.family, self.given, self.ideographic, self.patient_id, self.accession, self.study_id, self.uids)

    @property
    def days(self) -> tuple[str, ...]:
        """Dates that must not be found: the birth date, and the day of the study."""
        return (self.born, self.day)


PERSON = Person(
    "Zebrafish", "Quincy", "王^小东", "QX-77-ZZ", "ACC-9931", "SID-4471", "19510317", "20330514", "1.2.777.41."
)


def identify(ds: Dataset, who: Person) -> Dataset:
    """Say in the attributes that are for it whose a data set is."""
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = who.name, who.patient_id, who.born
    ds.AccessionNumber, ds.StudyID, ds.StudyDate = who.accession, who.study_id, who.day
    return ds


def everywhere(who: Person, tags: Iterable[int], items_of: int = 1) -> Iterator[DataElement]:
    """An element that tells of a person for each attribute that can hold one.

    Every so many sequences (`items_of`) have an item with more.
    """
    for number, tag in enumerate(sorted(tags)):
        keyword = dictionary_keyword(tag)
        vr = DicomDictionary[tag][0]
        if Tag(tag).group in (0x0000, 0x0002, 0x0004) or not keyword or _STRUCTURE.fullmatch(keyword):
            continue
        value = _value(who, keyword, vr, number, number % items_of == 0)
        if value is not None:
            yield DataElement(tag, vr, value, validation_mode=config.IGNORE)


def named_by_the_table() -> list[int]:
    """The attributes of Table E.1-1 that this release of pydicom has."""
    return [tag for tag in table() if tag in DicomDictionary]


def _value(who: Person, keyword: str, vr: str, number: int, deeper: bool) -> object:
    if vr in _TEXT:
        said = (who.name, who.family, who.patient_id, f"{who.given} {who.accession}", f"ID {who.study_id}")[number % 5]
        fits = len(said) <= _TEXT[vr] and (said.isascii() or vr not in ("AE", "UR"))
        return said if fits else who.patient_id
    row = table().get(Tag(keyword))
    if vr == "CS":
        return who.patient_id if row is not None and Action.KEEP not in row.options.values() else None
    if vr == "UI":  # that of a device is none of the patient's, and is kept where devices are
        return None if row is not None and Action.KEEP in row.options.values() else f"{who.uids}{number}"
    if vr in ("DA", "DT"):
        return who.day if vr == "DA" else f"{who.day}101112.5"
    if vr == "OB" and row is not None:
        return f"{who.family} {who.patient_id} ".encode()
    if vr == "SQ" and deeper:
        return Sequence([_item(who, number)])
    return None


def _item(who: Person, number: int) -> Dataset:
    item = identify(Dataset(), who)
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = who.patient_id, "99SITE", who.family
    item.TextValue = f"seen by {who.given} {who.family}"
    item.ReferencedSOPInstanceUID = f"{who.uids}9.{number}"
    block = item.private_block(0x0019, "ACME", create=True)
    block.add_new(1, "LO", who.family)
    inner = identify(Dataset(), who)
    inner.OperatorsName = who.name
    item.PurposeOfReferenceCodeSequence = [inner]
    return item


def written(it: Deidentified) -> bytes:
    """The file of an object that leaves."""
    buffer = BytesIO()
    it.write(buffer)
    return buffer.getvalue()


def as_people_write(day: str) -> tuple[str, str]:
    """A date with the day before the month, and with two digits of the year."""
    year, month, date = day[:4], day[4:6], day[6:]
    return f"{date}.{month}.{year}", f"{date}.{month}.{year[2:]}"


def found_in(content: bytes, who: Person) -> list[str]:
    """The identifiers of a person in bytes."""
    lowered = content.lower()
    words = [
        word
        for word in {part for it in who.words for part in (it, it.replace("^", ""))}
        if any(word.lower().encode(encoding, "ignore") in lowered for encoding in _encodings(word))
    ]
    days = [
        day
        for day in who.days
        for form in (day, f"{day[:4]}-{day[4:6]}-{day[6:]}", f"{day[:4]}.{day[4:6]}.{day[6:]}", *as_people_write(day))
        if re.search(rb"(?<!\d)" + re.escape(form.encode()) + rb"(?!\d)", content)
    ]
    return sorted({*words, *days})


def _encodings(word: str) -> tuple[str, ...]:
    return ENCODINGS if word.isascii() else tuple(it for it in ENCODINGS if it != "latin-1")
