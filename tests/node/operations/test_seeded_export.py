"""50 studies whose patients are named wherever one can be: nothing of what leaves tells who they are."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import highdicom as hd
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import SegmentationStorage

from node.deidentification.profile import RESEARCH
from node.operations.research_export import Exported, ExportOrder, export
from node.settings import Settings
from storage.pseudonyms import Pseudonyms

from ..deidentification.planting import Person, found_in
from ..old_studies import OldStudies
from .seeded_studies import Seeder, old_uids, uids_in

STUDIES = 50


@dataclass(frozen=True)
class Done:
    """A root with seeded studies, and its export."""

    root: OldStudies
    people: list[Person]
    exported: Exported

    @property
    def folder(self) -> Path:
        return self.exported.path

    def files(self) -> list[Path]:
        return sorted((self.folder / "objects").rglob("*.dcm"))

    def pseudonym(self, who: Person) -> str:
        rows = Pseudonyms(self.root.root).rows("trial")
        return next(it.pseudonym for it in rows if it.patient_id == who.patient_id)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("seeded")
    root = OldStudies(folder / "root")
    people = Seeder(folder).fill(root, STUDIES)
    exported = export(Settings(root=root.root), folder / "trial", ExportOrder("trial", RESEARCH, "ada"))
    return Done(root, people, exported)


def test_no_identifier_is_in_any_byte_or_name_of_the_export(done: Done) -> None:
    assert (done.exported.studies, done.exported.patients) == (STUDIES, STUDIES)
    by_pseudonym = {done.pseudonym(who): who for who in done.people}
    told = {}
    for path in filter(Path.is_file, done.folder.rglob("*")):
        content, name = path.read_bytes(), path.relative_to(done.folder).as_posix()
        own = [by_pseudonym[name.split("/")[1]]] if name.startswith("objects/") else done.people
        for who in own:
            if said := found_in(content + name.encode(), who):
                told[name] = said
    assert told == {}
    assert len(done.files()) == done.exported.objects > STUDIES * 2.5


def test_the_same_search_finds_each_of_them_in_the_root(done: Done) -> None:
    """It can fail: of each patient every identifier is found in an image that came."""
    for who in done.people:
        stored = (done.root.root / "objects" / f"{who.uids}1" / f"{who.uids}1.2").glob("*.dcm")
        said = found_in(b"".join(path.read_bytes() for path in stored), who)
        parts = {who.family, who.given, who.patient_id, who.accession, who.study_id, who.uids, *who.days}
        assert parts <= set(said)
        assert any(not it.isascii() for it in said)


def test_every_file_is_read_and_says_that_it_is_de_identified(done: Done) -> None:
    for path in done.files():
        ds = dcmread(path)
        pseudonym = path.relative_to(done.folder).parts[1]
        assert (ds.PatientID, ds.PatientName, ds.PatientBirthDate) == (pseudonym, pseudonym, "")
        assert ds.PatientIdentityRemoved == "YES"
        assert [path.parts[-3], path.parts[-2], path.stem] == [
            ds.StudyInstanceUID,
            ds.SeriesInstanceUID,
            ds.SOPInstanceUID,
        ]
        assert not [it for it in ds if it.tag.is_private and not it.tag.is_private_creator and it.VR in ("LO", "UN")]


def test_references_are_closed_and_no_uid_is_an_old_one(done: Done) -> None:
    """Of the study with results of every kind, and others; those of all are looked for in the bytes above."""
    people = done.people[::10]
    old = old_uids(done.root.root, people)
    assert len(old) > 100
    theirs = {done.pseudonym(who) for who in people}
    paths = [path for path in done.files() if path.relative_to(done.folder).parts[1] in theirs]
    everything = [dcmread(path, stop_before_pixels=True) for path in paths]
    new = {uid for ds in everything for uid in (*uids_in(ds), *uids_in(ds.file_meta))}
    new -= {str(ds.file_meta.ImplementationClassUID) for ds in everything}
    assert not new & old
    assert all(uid.startswith("2.25.") for uid in new)
    row = next(it for it in Pseudonyms(done.root.root).rows("trial") if it.patient_id == done.people[0].patient_id)
    of_first = [ds for ds in everything if ds.PatientID == row.pseudonym]
    assert len({ds.StudyInstanceUID for ds in of_first}) == 1
    segmentation = next(ds for ds in of_first if ds.SOPClassUID == SegmentationStorage)
    there = {ds.SOPInstanceUID for ds in of_first}
    reports = [ds for ds in of_first if ds.Modality == "SR"]
    assert reports
    assert segmentation.SOPInstanceUID in there & {uid for ds in reports for uid in uids_in(ds)}


def test_pages_and_documents_stay_here_and_the_list_says_so(done: Done) -> None:
    with (done.folder / "left-out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    reasons = {re.sub(r".*: ", "", row["reason"]) for row in rows}
    assert reasons == {"Secondary Capture Image Storage", "Encapsulated PDF Storage"}
    assert len({row["patient"] for row in rows}) > 4
    assert {row["patient"] for row in rows} <= {done.pseudonym(who) for who in done.people}
    assert sum(done.exported.left_out.values()) == len(rows)
    assert done.exported.missing == {}


def test_the_lists_name_each_file_with_its_digest_and_each_study(done: Done) -> None:
    document = json.loads((done.folder / "export.json").read_text("utf-8"))
    assert document["lists"].keys() == {"files.csv", "left-out.csv", "cases.csv"}
    for name, digest in document["lists"].items():
        assert hashlib.sha256((done.folder / name).read_bytes()).hexdigest() == digest
    with (done.folder / "files.csv").open(newline="") as file:
        listed = {row["path"]: row["sha256"] for row in csv.DictReader(file)}
    there = {p.relative_to(done.folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in done.files()}
    assert listed == there
    with (done.folder / "cases.csv").open(newline="") as file:
        cases = list(csv.DictReader(file))
    assert len(cases) == STUDIES
    assert sum(int(it["objects"]) for it in cases) == document["objects"] == len(there)
    assert {path.name for path in done.folder.iterdir()} == {*document["lists"], "export.json", "objects"}


def of_first(done: Done) -> list[Path]:
    return sorted((done.folder / "objects" / done.pseudonym(done.people[0])).rglob("*.dcm"))


def test_results_are_read_by_highdicom(done: Done) -> None:
    read = {"SEG": hd.seg.segread, "SR": hd.sr.srread, "KO": hd.ko.KeyObjectSelectionDocument.from_dataset}
    found = {}
    for path in of_first(done):
        ds = dcmread(path)
        if ds.Modality in read:
            found[ds.Modality] = read[ds.Modality](BytesIO(path.read_bytes()) if ds.Modality != "KO" else ds)
    assert found.keys() == read.keys()
    assert found["SEG"].get_volume().array.any()
    root = found["SR"].content
    assert isinstance(root, hd.sr.MeasurementReport)
    assert root.get_volumetric_roi_measurement_groups()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")
def test_dciodvfy_finds_no_fault_in_results_that_was_not_there(done: Done) -> None:
    sources = {}
    for path in (done.root.root / "objects" / f"{done.people[0].uids}1").rglob("*.dcm"):
        ds = dcmread(path, stop_before_pixels=True)
        if ds.get("Manufacturer") == "rectal-node":
            sources[key(ds)] = path
    compared = 0
    for path in of_first(done):
        source = sources.get(key(dcmread(path, stop_before_pixels=True)))
        if source is not None:
            assert errors_of(path) - errors_of(source) == set(), path
            compared += 1
    assert compared >= 6


def errors_of(path: Path) -> set[str]:
    reply = subprocess.run(["dciodvfy", "-new", path], capture_output=True, check=False, timeout=60)
    return {line for line in reply.stderr.decode("utf-8", "replace").splitlines() if line.startswith("Error")}


def key(ds: Dataset) -> tuple[str, str]:
    return ds.SOPClassUID, str(ds.get("SeriesNumber"))
