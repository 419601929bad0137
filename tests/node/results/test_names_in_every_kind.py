"""Names and text of many scripts come back unchanged in every kind of result, and nothing is longer than its VR."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pypdf import PdfReader

from node.results.caption import readable_name
from node.results.encode import encode
from node.results.kinds import kind_of

from .conftest import EVERYTHING, OF_SEQUENCES, SITE, VENDORS, study_results, write_series

pytestmark = pytest.mark.filterwarnings("ignore:Found unknown escape sequence")

#: Specific Character Set, name of the patient, description of the study.
SCRIPTS = {
    "Chinese in GB18030": ("GB18030", "Wang^XiaoDong=王^小东", "直肠癌分期"),
    "Chinese in GBK": ("GBK", "Chen^Dawen=陈^大文", "直肠磁共振"),
    "Chinese with code extensions": ("\\ISO 2022 IR 58", "Han^Mei=韩^梅", "直肠癌"),
    "Chinese in Unicode, beyond the basic plane": ("ISO_IR 192", "Yoshida^Ken=𠮷田^健", "直腸"),
    "Japanese": ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう", "直腸がん"),
    "Japanese with half-width kana": (
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        "直腸がん",
    ),
    "Korean": ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동", "직장암 병기"),
    "Cyrillic": ("ISO_IR 144", "Иванова^Мария^Петровна", "МРТ прямой кишки"),
    "Greek": ("ISO_IR 126", "Διονυσιος^Ελενη", "Ορθό"),
    "Latin-1": ("ISO_IR 100", "Müller^Jörg^^Dr.", "Rektum, Größe"),
}
#: PS3.5 Table 6.2-1: bytes of one value, for PN of one component group in characters.
LONGEST = {
    **{"AE": 16, "AS": 4, "CS": 16, "DA": 8, "DS": 16, "DT": 26, "IS": 12, "LO": 64, "LT": 10240},
    **{"PN": 64, "SH": 16, "ST": 1024, "TM": 14, "UI": 64},
}


@pytest.fixture(scope="module", params=SCRIPTS)
def study(request, tmp_path_factory):
    """A study in one script: its results by kind, the name, and the description."""
    character_set, name, description = SCRIPTS[request.param]

    def write(ds: Dataset, _sequence: str) -> None:
        ds.SpecificCharacterSet = character_set.split("\\")
        ds.PatientName = ds.ReferringPhysicianName = name
        ds.StudyDescription = ds.PatientComments = description

    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("results")
    results = study_results({"T2WI": write_series(source, VENDORS["uih"], "T2WI", write)})
    objects = encode(results, folder, SITE, kinds=OF_SEQUENCES, selections=(EVERYTHING,))
    assert {kind_of(made.sop_class_uid, made.role) for made in objects} == EVERYTHING
    return {made.role: made.path for made in objects}, name, description


def test_every_kind_has_name_and_description_as_they_came(study) -> None:
    kinds, name, description = study
    for kind, path in kinds.items():
        found = pydicom.dcmread(path)
        assert found.SpecificCharacterSet == "ISO_IR 192", kind
        assert (found.PatientName, found.ReferringPhysicianName) == (name, name), kind
        assert (found.StudyDescription, found.PatientComments) == (description, description), kind
        assert name.encode() in path.read_bytes(), kind


def test_the_pdf_shows_the_name(study) -> None:
    kinds, name, _ = study
    document = pydicom.dcmread(kinds["summary-pdf"]).EncapsulatedDocument
    text = PdfReader(BytesIO(document)).pages[0].extract_text()
    for word in readable_name(name).replace(",", " ").split():
        assert word in text


def test_no_attribute_of_any_kind_is_longer_than_its_vr(study) -> None:
    kinds, _, _ = study
    assert {f"{kind}: {each}" for kind, path in kinds.items() for each in too_long(path)} == set()


def test_what_is_too_long_is_seen(study, tmp_path) -> None:
    kinds, _, _ = study
    dataset = pydicom.dcmread(kinds["report"])
    with pydicom.config.disable_value_validation():
        dataset.ContentSequence[0].add_new("CodeMeaning", "LO", "ж" * 40)
        dataset.save_as(tmp_path / "long.dcm")
    assert too_long(tmp_path / "long.dcm") == ["(0008,0104) LO of 80 bytes"]


def too_long(path: Path) -> list[str]:
    """The attributes of a file, in items too, with a value that is longer than its VR allows."""
    return [
        f"{element.tag} {element.VR} of {len(value)} bytes"
        for element in encoded_elements(pydicom.dcmread(path))
        for value in values_of(element)
        if length_of(element.VR, value) > LONGEST[element.VR]
    ]


def encoded_elements(dataset: Dataset) -> Iterator[RawDataElement]:
    """Elements as they are encoded in the file."""
    for tag in dataset.keys():  # noqa: SIM118 (a data set goes through elements, which decodes them)
        element = dataset.get_item(tag)
        if element.VR == "SQ":
            for item in dataset[tag].value:
                yield from encoded_elements(item)
        elif element.VR in LONGEST and isinstance(element, RawDataElement) and element.value:
            yield element


def values_of(element: RawDataElement) -> list[bytes]:
    padding = b"\0" if element.VR == "UI" else b" "
    several = [element.value] if element.VR in ("ST", "LT") else element.value.split(b"\\")
    return [value.rstrip(padding) for value in several]


def length_of(vr: str, value: bytes) -> int:
    return max(len(group) for group in value.decode().split("=")) if vr == "PN" else len(value)
