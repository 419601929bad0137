"""Whatever is wrong with its headers, a study ends with results or with refusals that have a name, never with an error.

A seed damages one or two attributes, standard or private, read by us or not, of a series or of one of its images. Seeds
go by threes into a study, the first into its T2WI, the second into its DWI, the third into its DCE.

    DAMAGE_SEEDS=500 DAMAGE_SHIPPED=10 pytest tests/node/damage
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import BaseTag

from node.analysis import steps
from node.results.attributes import CLASSIC_FROM_FUNCTIONAL_GROUPS, READ
from node.results.source import read_header as source_header

FIRST, SEEDS = int(os.environ.get("DAMAGE_FIRST", "0")), int(os.environ.get("DAMAGE_SEEDS", "15"))
SHIPPED = int(os.environ.get("DAMAGE_SHIPPED", "0"))
SCANNERS = ("Skyra", "MR750", "Multiva", "uMR 770", "Skyra, multi-frame")
NAMED = re.compile(r"E-[A-Z0-9]+(-[A-Z0-9]+)*")
PIXELS = 0x7FE00010
#: What recognition, volumes and results read; the other half of the damage goes anywhere.
READ_NAMES = {*READ, *(name for row in CLASSIC_FROM_FUNCTIONAL_GROUPS for name in row)}
MATTER = frozenset(tag for tag, row in DicomDictionary.items() if tag >> 16 == 0x0028 or row[4] in READ_NAMES)
SHORT = ("AE", "AS", "AT", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI")
LONG = ("OB", "OW", "SQ", "UN", "UT", "UC")
BINARY = {"US": "<H", "SS": "<h", "UL": "<L", "SL": "<l", "FL": "<f", "FD": "<d"}
ODD_NUMBERS = (
    b"0",
    b"-1",
    b"1e99",
    b"-1e-40",
    b"nan",
    b"inf",
    b"1,5",
    b"12mm",
    b"0x10",
    b"32768",
    b"--",
    b"1e5",
    b".5",
)
ODD_TEXTS = (b"\x1b$)A", b"\xff\xfe", b"\x00", b"\r\n", b"\x85", b"^^^^=====", b"<b>", b"\\\\", b"%s{}", b"\xb0", b"*")

Place = tuple[int, ...]
Value = tuple[str, bytes]


class Damage:
    """What one seed does to the images of a series: attributes, and what becomes of each."""

    def __init__(self, seed: int, images: Sequence[Dataset]) -> None:
        self.random = np.random.default_rng(seed)
        self.images = images
        self.done: list[str] = []
        self.known = sorted({place for image in images[:2] for place in places(image)})
        for _ in range(self.random.integers(1, 4)):
            self._damage_one()

    def _damage_one(self) -> None:
        known = [place for place in self.known if place[-1] in MATTER] if self.random.random() < 0.5 else self.known
        place = known[int(self.random.integers(len(known)))]
        other = known[int(self.random.integers(len(known)))]
        kind = str(self.random.choice(list(KINDS)))
        chosen = self.images
        if self.random.random() < 0.35:
            chosen = [self.images[int(self.random.integers(len(self.images)))]]
        state = self.random.bit_generator.state
        for image in chosen:
            self.random.bit_generator.state = state
            self._change(image, place, kind, other)
        self.done.append(f"{kind} {[str(BaseTag(each)) for each in place]} of {len(chosen)}")

    def _change(self, image: Dataset, place: Place, kind: str, other: Place) -> None:
        holder, tag = at(image, place), BaseTag(place[-1])
        if holder is None or tag not in holder:
            return
        if kind == "absent":
            del holder[tag]
            return
        elsewhere = at(image, other)
        there = raw(elsewhere, BaseTag(other[-1])) if elsewhere is not None else ("LO", b"")
        vr, value = KINDS[kind](self.random, raw(holder, tag), there)
        value += (b"\0" if vr in ("UI", "OB", "UN", *BINARY) else b" ") * (len(value) % 2)
        holder._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def places(dataset: Dataset, above: Place = ()) -> Iterator[Place]:
    """Where elements stand: tags and numbers of items by turns."""
    for tag in list(dataset._dict):
        yield (*above, int(tag))
        if dataset.get_item(tag).VR == "SQ" and tag not in (PIXELS,):
            for number, item in enumerate(dataset[tag].value[:2]):
                yield from places(item, (*above, int(tag), number))


def at(dataset: Dataset, place: Place) -> Dataset | None:
    """The data set that holds the element of a place."""
    for tag, number in zip(place[:-1:2], place[1:-1:2], strict=True):
        element = dataset.get_item(tag) if tag in dataset else None
        if element is None or isinstance(element, RawDataElement) or len(element.value) <= number:
            return None
        dataset = element.value[number]
    return dataset


def raw(image: Dataset, tag: BaseTag) -> Value:
    """VR and bytes of an element; of a sequence, and of one that is not there, no bytes."""
    element = image.get_item(tag) if tag in image else None
    if element is None or not isinstance(element, RawDataElement):
        return ("LO" if element is None else str(element.VR)), b""
    return str(element.VR), element.value or b""


def _empty(random: np.random.Generator, own: Value, other: Value) -> Value:
    return own[0], b""


def _wrong_vr(random: np.random.Generator, own: Value, other: Value) -> Value:
    vr = str(random.choice([*SHORT, *LONG, *BINARY]))
    return vr, own[1][:65534]


def _over_long(random: np.random.Generator, own: Value, other: Value) -> Value:
    filler = own[1] if own[1] and random.random() < 0.5 else bytes([random.choice([0x39, 0x41, 0xC4])])
    return own[0], (filler * 2000)[: int(random.choice([17, 65, 70, 300, 1100]))]


def _several(random: np.random.Generator, own: Value, other: Value) -> Value:
    between = b"" if own[0] in BINARY else b"\\"
    return own[0], between.join([own[1]] * int(random.integers(2, 5)))[:65534]


def _illegal(random: np.random.Generator, own: Value, other: Value) -> Value:
    place = int(random.integers(len(own[1]) + 1))
    return own[0], (own[1][:place] + ODD_TEXTS[int(random.integers(len(ODD_TEXTS)))] + own[1][place:])[:65534]


def _zeros(random: np.random.Generator, own: Value, other: Value) -> Value:
    return own[0], own[1].replace(b".", b".0", 2) if own[0] == "UI" else (b"000" + own[1])[:65534]


def _number(random: np.random.Generator, own: Value, other: Value) -> Value:
    if own[0] in BINARY:
        ends = {"<H": (0, 65535), "<h": (-1, -32768), "<L": (0, 2**32 - 1), "<l": (-1, 2**31 - 1)}
        odd = ends.get(BINARY[own[0]], (0.0, float("nan"), float("inf"), -1.0))
        return own[0], struct.pack(BINARY[own[0]], odd[int(random.integers(len(odd)))])
    values = own[1].split(b"\\")
    values[int(random.integers(len(values)))] = ODD_NUMBERS[int(random.integers(len(ODD_NUMBERS)))]
    return own[0], b"\\".join(values)[:65534]


def _swapped(random: np.random.Generator, own: Value, other: Value) -> Value:
    return own[0], other[1][:65534]


def _noise(random: np.random.Generator, own: Value, other: Value) -> Value:
    return own[0], random.bytes(int(random.choice([len(own[1]) % 65534, 1, 7, 40])))


KINDS = {
    "absent": _empty,
    "empty": _empty,
    "wrong VR": _wrong_vr,
    "over-long": _over_long,
    "several values": _several,
    "illegal characters": _illegal,
    "leading zeros": _zeros,
    "odd number": _number,
    "another's value": _swapped,
    "noise": _noise,
}


def encoded(image: Dataset) -> bytes:
    """The file of a data set in Explicit VR Little Endian, its raw elements as they stand."""
    buffer = BytesIO()
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(buffer, image.file_meta)
    return buffer.getvalue() + content(image)


def content(dataset: Dataset) -> bytes:
    """The elements of a data set or item."""
    return b"".join(_element(BaseTag(tag), dataset.get_item(tag)) for tag in sorted(dataset._dict))


def _element(tag: BaseTag, element: pydicom.DataElement | RawDataElement) -> bytes:
    vr, value = str(element.VR), element.value or b""
    if not isinstance(element, RawDataElement) and vr != "SQ":
        alone, written = Dataset(), BytesIO()
        alone[tag] = element
        alone.save_as(written, implicit_vr=False, little_endian=True)
        return written.getvalue()
    if not isinstance(value, bytes):
        items = [content(item) for item in value]
        value = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item for item in items)
    length = struct.pack("<H", len(value)) if vr in (*SHORT, *BINARY) else struct.pack("<HL", 0, len(value))
    return struct.pack("<HH2s", tag.group, tag.element, vr.encode()) + length + value


def damaged(files: Mapping[str, Sequence[Path]], seeds: Sequence[int], folder: Path) -> tuple[list[Path], list[str]]:
    """The files of a study, its series damaged each by one of the seeds, and what was done."""
    paths, done = [], []
    for number, (kind, sources) in enumerate(files.items()):
        images = [pydicom.dcmread(path) for path in sources]
        if number < len(seeds):
            done += [f"seed {seeds[number]}, {kind}: {each}" for each in Damage(seeds[number], images).done]
        for source, image in zip(sources, images, strict=True):
            paths.append(folder / source.name)
            paths[-1].write_bytes(encoded(image))
    return paths, done


def check(found: Any) -> None:
    """Refusals have names; what is written can be read, in the dictionary's VRs, and is of this study and patient."""
    study, refusal = found.study, found.refusal
    plan = steps.read_plan(study)
    assert all(NAMED.fullmatch(each.code) for each in plan.refusals), plan.refusals
    assert not refusal or NAMED.match(refusal)
    sources = [source_header(path) for path, _ in study.instances.values()]
    for each in found.objects:
        made = pydicom.dcmread(each.path)
        assert made.StudyInstanceUID == study.study_instance_uid
        for keyword in ("PatientID", "PatientName", "PatientBirthDate"):
            assert str(made.get(keyword) or "") in {str(source.get(keyword) or "") for source in sources}, keyword
        for element in made.iterall():
            assert not dictionary_has_tag(element.tag) or element.VR in dictionary_VR(element.tag), element.tag


def threes(first: int, seeds: int) -> list[tuple[int, ...]]:
    return [tuple(range(start, min(start + 3, first + seeds))) for start in range(first, first + seeds, 3)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seeds", threes(FIRST, SEEDS), ids=str)
def test_results_or_a_named_refusal(tiny_files, tiny_models, analysed, tmp_path, seeds):
    paths, done = damaged(tiny_files(SCANNERS[seeds[0] // 3 % len(SCANNERS)]), seeds, tmp_path)
    print(*done, sep="\n")
    for found in analysed(paths, tmp_path, tiny_models, measured=seeds[0] % 15 == 0):
        check(found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seeds", threes(100_000, SHIPPED), ids=str)
def test_results_or_a_named_refusal_by_the_shipped_bundles(tiny_files, shipped_models, analysed, tmp_path, seeds):
    paths, done = damaged(tiny_files(SCANNERS[seeds[0] % len(SCANNERS)]), seeds, tmp_path)
    print(*done, sep="\n")
    for found in analysed(paths, tmp_path, shipped_models, measured=True):
        check(found)


@pytest.mark.parametrize("scanner", SCANNERS[3:])
def test_the_undamaged_study_has_results_of_all_three(tiny_files, tiny_models, analysed, tmp_path, scanner):
    paths, _ = damaged(tiny_files(scanner), (), tmp_path)
    (found,) = analysed(paths, tmp_path, tiny_models, measured=False)
    assert found.refusal == ""
    roles = {each.role for each in found.objects}
    assert {f"super-resolved-{name}" for name in ("t2wi", "dwi", "pvp")} < roles
    assert {f"segmentation-{name}" for name in ("t2wi", "dwi", "pvp")} < roles
    check(found)
