"""Studies of simulated scanners with results of the node, each of another patient, who is named wherever one can be.

Results are encoded once, of a patient whose identifiers are as long as those of the others: a study's are the same
bytes with its own in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from io import BytesIO
from itertools import islice
from pathlib import Path

from pydicom import DataElement, Dataset, dcmread, dcmwrite
from pydicom.config import IGNORE
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

from models.research.phantom.scanners import load_scanners
from node.results.encode import encode
from node.settings import ADDITIONAL
from storage.catalogue.filling import catch_up
from storage.header import read_header
from storage.records import ResultRecord, StudyState

from ..deidentification.planting import Person, as_people_write, everywhere, identify, named_by_the_table
from ..old_studies import LONG_AGO, OldStudies
from ..results.conftest import EVERYTHING, ROLES, SITE, STUDY_UID, UID_ROOT, Vendor, study_results, write_series
from ..tiny import volumes_of

#: Whose results are encoded.
PLACEHOLDER = Person(
    family="Placeholder",
    given="Givenname",
    ideographic="占^位符",
    patient_id="PID-PLACE-000",
    accession="ACCPLACE0000000",
    study_id="SID-PLACE00",
    born="19600229",
    day="20240315",
    uids=f"{STUDY_UID}.",
)
_CHARACTER_SETS = ("GB18030", "ISO_IR 192", "undeclared")
_SHARES = 10
_SURNAMES, _NAMES = "钱孙李周吴郑冯陈褚卫", "梅兰竹菊松柏桂枫"


def person(number: int) -> Person:
    """The patient of a study; all of its identifiers have the length of those of PLACEHOLDER."""
    code = "".join(chr(ord("a") + number // 26**place % 26) for place in (2, 1, 0))
    return Person(
        family=f"Zebr{code}fish",
        given=f"Quin{code}cy",
        ideographic=f"{_SURNAMES[number % 10]}^{_NAMES[number % 8]}{_NAMES[number // 8 % 8]}",
        patient_id=f"PID-{code.upper()}-{70000 + number}",
        accession=f"ACC{code.upper()}{700000000 + number}",
        study_id=f"SID-{code.upper()}{7000 + number}",
        born=f"19{31 + number % 40}0{1 + number % 9}1{number % 10}",
        day=f"2033{1 + number % 12:02d}{1 + number % 28:02d}",
        uids=f"1.2.777.{41000 + number}.",
    )


class Seeder:
    """Puts studies into a root."""

    def __init__(self, folder: Path) -> None:
        self._results = _encoded(folder)
        images = {it.name: list(islice(volumes_of(it.name), 0, 80, 20))[:2] for it in load_scanners()}
        self._images = [[image for _, _, image in found] for found in images.values()]

    def fill(self, root: OldStudies, count: int) -> list[Person]:
        """That many studies, received and analysed: the first has results of every kind, the others of one each."""
        people = [person(number) for number in range(count)]
        for number, who in enumerate(people):
            self._study(root, number, who)
        while catch_up(root.engine, root.files):
            pass
        return people

    def _study(self, root: OldStudies, number: int, who: Person) -> None:
        study = f"{who.uids}1"
        for data in self._images_of(number, who):
            root.store(data)
        root.index.move(study, 1, StudyState.QUEUED)
        replace = _replacing(who)
        results = []
        for role, template in self._results if not number else [self._results[number % len(self._results)]]:
            data = replace(template)
            header = read_header(data)
            uids = header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid
            results.append(ResultRecord(study, 1, role, *uids, root.files.store(data, header)))
        root.ledger.conclude(study, 1, StudyState.COMPLETED, "", results, [], LONG_AGO)

    def _images_of(self, number: int, who: Person) -> Iterator[bytes]:
        images = self._images[number % len(self._images)]
        share = named_by_the_table()[number % _SHARES :: _SHARES]
        for index, template in enumerate(images):
            image = identify(deepcopy(template), who)
            image.StudyInstanceUID, image.SeriesInstanceUID = f"{who.uids}1", f"{who.uids}1.{index + 2}"
            image.SOPInstanceUID, image.FrameOfReferenceUID = f"{who.uids}1.{index + 2}.1", f"{who.uids}1.77"
            image.SeriesDescription = f"t2_tse_tra {who.family} {as_people_write(who.day)[1]}"
            image.PixelData += f"{who.family} {who.patient_id} ".encode()
            image.ReceiveCoilName = f"{who.given} {who.patient_id}"[:16]
            if index == 0:
                for element in everywhere(who, share):
                    if element.tag not in template:
                        image.add(element)
                for element in misplaced(who):
                    image.add(element)
                image.private_block(0x0029, "ACME HEADER", create=True).add_new(1, "LO", who.family)
                image.ContentSequence = [identify(Dataset(), who)]
            yield _file(image, who, _CHARACTER_SETS[number % 3])


def misplaced(who: Person) -> Iterator[DataElement]:
    """What tells of a person in values of another kind than theirs, in codes, calendars and other spellings."""
    code = Dataset()
    code.LongCodeValue, code.CodingSchemeDesignator, code.CodeMeaning = who.patient_id, "99SITE", who.family
    for keyword, vr, value in (
        ("SeriesDate", "SH", who.day),
        ("ContentDate", "LO", as_people_write(who.day)[0]),
        ("AcquisitionTime", "TM", who.family),
        ("AcquisitionDateTime", "DT", f"{who.day} {who.given}"),
        ("PatientAge", "AS", who.family[:4]),
        ("FrameOfReferenceUID", "LO", f"{who.uids}1.77"),
        ("PatientBirthDateInAlternativeCalendar", "LO", who.born),
        ("PlacerOrderNumberProcedure", "LO", who.accession),
        ("StrainDescription", "UC", who.family),
        ("SoftwareVersions", "LO", f"of {as_people_write(who.born)[0]}"),
        ("ProtocolName", "LO", f"t2 {who.patient_id.replace('-', ' ')}"),
        ("InstitutionCodeSequence", "SQ", [code]),
        ("AnatomicRegionSequence", "SQ", [code]),
    ):
        yield DataElement(Tag(keyword), vr, value, validation_mode=IGNORE)


def _file(image: Dataset, who: Person, characters: str) -> bytes:
    """As a scanner writes it, with names in file meta information and preamble; one in three declares the wrong set."""
    image.SpecificCharacterSet = "GB18030" if characters == "undeclared" else characters
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.SourceApplicationEntityTitle = who.family
    image.file_meta.PrivateInformationCreatorUID = f"{who.uids}8"
    image.file_meta.PrivateInformation = f"{who.patient_id} ".encode()
    image.preamble = f"{who.family} {who.patient_id}".encode().ljust(128, b"\0")
    buffer = BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True)
    content = buffer.getvalue()
    return content.replace(b"GB18030 ", b"ISO_IR 6") if characters == "undeclared" else content


def _encoded(folder: Path) -> list[tuple[str, bytes]]:
    """One result of each role and kind, of the placeholder: role and bytes."""
    source, made = folder / "source", folder / "made"
    source.mkdir()
    made.mkdir()
    name = PLACEHOLDER.name
    vendor = Vendor("SIEMENS", "GB18030", name.encode("gb18030"), name, 1.0, 0.0)

    def edit(ds: Dataset, sequence: str) -> None:
        ds.PatientID, ds.AccessionNumber = PLACEHOLDER.patient_id, PLACEHOLDER.accession
        ds.StudyID, ds.PatientBirthDate = PLACEHOLDER.study_id, PLACEHOLDER.born
        ds.SeriesDescription = f"{sequence} {PLACEHOLDER.family}"

    stacks = {sequence: write_series(source, vendor, sequence, edit) for sequence in ROLES}
    objects = encode(study_results(stacks), made, SITE, kinds=ADDITIONAL, selections=(EVERYTHING,))
    chosen: dict[str, tuple[str, bytes]] = {}
    for it in objects:
        chosen.setdefault(f"{it.sop_class_uid} {it.role.partition('-')[0]}", (it.role, it.path.read_bytes()))
    return list(chosen.values())


def _replacing(who: Person) -> Callable[[bytes], bytes]:
    """Puts the identifiers of a patient in the place of those of the placeholder, of the same length."""
    texts = [(getattr(PLACEHOLDER, field), getattr(who, field)) for field in Person.__dataclass_fields__]
    pairs = [(old.encode(), new.encode()) for old, new in texts if "." not in old]
    pairs.append((STUDY_UID.encode(), f"{who.uids}1".encode()))
    pairs.append((UID_ROOT.encode(), f"{who.uids}0.3680043.159.".encode()))
    assert all(len(old) == len(new) for old, new in pairs), pairs

    def replace(content: bytes) -> bytes:
        for old, new in pairs:
            content = content.replace(old, new)
        return content

    return replace


def old_uids(root: Path, people: Sequence[Person]) -> set[str]:
    """Every UID in the stored files of patients that names an object or a frame of reference."""
    paths = [path for who in people for path in (root / "objects" / f"{who.uids}1").rglob("*.dcm")]
    return {uid for path in paths for uid in uids_in(dcmread(path))}


def uids_in(ds: Dataset) -> Iterator[str]:
    """The UIDs of a data set, with its items, without classes, syntaxes and devices."""
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield from uids_in(item)
        elif element.VR == "UI" and element.keyword != "DeviceUID" and not element.keyword.endswith("ClassUID"):
            values = element.value if element.VM > 1 else [element.value]
            yield from (str(it) for it in values if it and not str(it).startswith("1.2.840.10008."))
