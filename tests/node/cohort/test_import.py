"""DICOM studies and masks become a cohort through the node's own recognition."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.sr.codedict import codes
from typer.testing import CliRunner

from models.research.cohort.reading import read_cohort, read_image, read_mask
from models.research.cohort.records import Equipment, Needs, Split
from models.sequence import Sequence as Contrast
from models.volume import average_onto, divided, grid_of
from models.volume_files import write
from node.cli.main import app
from node.cohort.importing import ImportOptions, Outcome, import_studies
from node.cohort.masks import MaskSources
from node.cohort.register import registered
from node.cohort.segmentations import segmentation_files, segmentation_of
from node.errors import NodeError
from node.recognition.header.facts import Fault
from node.recognition.header.frames import read_frames
from node.recognition.header.patients import identity
from node.recognition.header.words import words
from node.recognition.plan import StudyFacts, recognise
from node.recognition.record import Stack
from node.settings import RecognitionSettings
from node.volumes import assemble

SETTINGS = RecognitionSettings()
FEW = Needs(cases=1)
#: Three sequences with image, mask and parameters, and the table.
COHORT_FILES = 10


def block(image: sitk.Image, shift: int = 0) -> np.ndarray:
    """A mask (z, y, x) that lies in no symmetrical place."""
    mask = np.zeros(image.GetSize()[::-1], np.uint8)
    mask[2:5, 10 + shift : 20 + shift, 25:40] = 1
    return mask


def segment(number: int, label: str) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )


def write_segmentation(
    path: Path, stack: Stack, masks: Sequence[np.ndarray], labels: Sequence[str] = ("whatever",), **options: Any
) -> str:
    """A Segmentation on the images of a stack, last image first, as another vendor's software writes it."""
    datasets = [dcmread(frame.path) for frame in stack.frames][::-1]
    pixels = np.stack([mask[::-1] for mask in masks], axis=-1)
    facts: dict[str, Any] = {
        "segmentation_type": hd.seg.SegmentationTypeValues.BINARY,
        "segment_descriptions": [segment(number, label) for number, label in enumerate(labels, start=1)],
        "series_instance_uid": hd.UID(),
        "series_number": 900,
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": "Drawing Board",
        "manufacturer_model_name": "pencil",
        "software_versions": "1",
        "device_serial_number": "1",
    }
    written = hd.seg.Segmentation(source_images=datasets, pixel_array=pixels, **(facts | options))
    written.save_as(path)
    return str(written.SOPInstanceUID)


@pytest.fixture(scope="session")
def stacks(written_by: Callable[[str], Any]) -> dict[str, Stack]:
    """The stacks that the node chooses of a simulated Skyra study, by role, without the ADC map."""
    paths = written_by("Siemens Skyra").paths
    plan = recognise(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID, paths, SETTINGS)
    return {stack.role: stack for stack in plan.stacks if stack.role != "ADC"}


@pytest.fixture(scope="session")
def uid(stacks: dict[str, Stack]) -> str:
    """Its Study Instance UID."""
    return str(dcmread(stacks["T2WI"].frames[0].path).StudyInstanceUID)


@pytest.fixture(scope="session")
def segmentations(stacks: dict[str, Stack], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """A Segmentation of each of its stacks; empty slices left out."""
    folder = tmp_path_factory.mktemp("segmentations")
    for role, stack in stacks.items():
        write_segmentation(folder / f"{role}.seg.dcm", stack, [block(assemble(stack))])
    return tuple(folder.iterdir())


@pytest.fixture
def study(tmp_path: Path, written_by: Callable[[str], Any]) -> Path:
    """A folder of links to the files of the study, named by SOP Instance UID."""
    folder = tmp_path / "dicom" / "skyra"
    folder.mkdir(parents=True)
    written = written_by("Siemens Skyra")
    for path, instance in zip(written.paths, written.instances, strict=True):
        (folder / instance.SOPInstanceUID).symlink_to(path)
    return folder


@pytest.fixture
def drawn(study: Path, segmentations: tuple[Path, ...]) -> Path:
    """The same with the Segmentations."""
    for path in segmentations:
        (study / path.name).symlink_to(path)
    return study


def run(study: Path, out: Path, **options: Any) -> Any:
    return list(import_studies(study.parent, out, ImportOptions(**options), SETTINGS))


def command(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_study_with_segmentations_becomes_a_case(drawn: Path, tmp_path: Path, stacks: dict[str, Stack]) -> None:
    (made,) = run(drawn, tmp_path / "out")
    assert made.outcome is Outcome.WRITTEN, made.reason
    (case,) = read_cohort(tmp_path / "out", FEW).cases
    assert case.facts.equipment == Equipment("Siemens", "Skyra", 3.0)
    for role, stack in stacks.items():
        volume = case.volumes[Contrast(role)]
        image = assemble(stack)
        assert np.array_equal(sitk.GetArrayFromImage(read_image(volume)), sitk.GetArrayFromImage(image))
        assert np.array_equal(sitk.GetArrayFromImage(read_mask(volume)), block(image))
        assert np.allclose(grid_of(read_image(volume)).origin, image.GetOrigin(), atol=1e-3)
        assert volume.acquisition["te_ms"] == stack.acquisition.te_ms


def test_nothing_of_the_patient_and_no_uid_is_in_the_cohort(
    drawn: Path, tmp_path: Path, stacks: dict[str, Stack]
) -> None:
    (made,) = run(drawn, tmp_path / "out")
    header = dcmread(next(iter(stacks.values())).frames[0].path)
    secrets = [str(header.PatientName), header.PatientID, header.PatientBirthDate, header.StudyInstanceUID]
    assert all(secrets)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) == COHORT_FILES
    for path in files:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert not any(secret.encode() in content or secret in str(path.relative_to(tmp_path)) for secret in secrets)
    assert made.case_id.startswith("case-")


def test_a_second_run_makes_nothing_again(drawn: Path, tmp_path: Path) -> None:
    run(drawn, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert [made.outcome for made in run(drawn, tmp_path / "out")] == [Outcome.PRESENT]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_study_without_masks_is_left_out_with_the_reason(study: Path, tmp_path: Path) -> None:
    (made,) = run(study, tmp_path / "out")
    assert made.outcome is Outcome.LEFT_OUT
    assert "T2WI: E-MASK-NONE: neither a NIfTI mask nor a segmentation refers to the T2WI series" in made.reason
    (made,) = run(study, tmp_path / "volumes", masks=MaskSources(wanted=False))
    assert made.outcome is Outcome.WRITTEN


def test_a_study_that_recognition_refuses_is_left_out_with_its_reason(
    drawn: Path, tmp_path: Path, stacks: dict[str, Stack]
) -> None:
    for frame in stacks["DWI"].frames[:2]:
        (drawn / frame.sop_instance_uid).unlink()
    (made,) = run(drawn, tmp_path / "out")
    assert made.outcome is Outcome.LEFT_OUT
    assert made.reason.startswith("DWI: E-")


def test_segments_are_chosen_by_label_and_taken_together(drawn: Path, tmp_path: Path, stacks: dict[str, Stack]) -> None:
    (drawn / "T2WI.seg.dcm").unlink()
    stack = stacks["T2WI"]
    image = assemble(stack)
    masks = [block(image), block(image, 12), block(image, 20)]
    write_segmentation(drawn / "parts.dcm", stack, masks, ("Tumour, luminal", "TUMOR extramural", "Bladder"))
    run(drawn, tmp_path / "out")
    (case,) = read_cohort(tmp_path / "out", FEW).cases
    found = sitk.GetArrayFromImage(read_mask(case.volumes[Contrast.T2WI]))
    assert np.array_equal(found, masks[0] | masks[1])
    (made,) = run(drawn, tmp_path / "other", masks=MaskSources(segment="prostate"))
    assert "no segment matches 'prostate'; there are 'Tumour, luminal', 'TUMOR extramural', 'Bladder'" in made.reason


def test_two_segmentations_of_one_stack_are_not_guessed_between(
    drawn: Path, tmp_path: Path, stacks: dict[str, Stack]
) -> None:
    stack = stacks["T2WI"]
    write_segmentation(drawn / "second.dcm", stack, [block(assemble(stack), 3)])
    (made,) = run(drawn, tmp_path / "out")
    assert made.outcome is Outcome.LEFT_OUT
    assert "E-MASK-MANY" in made.reason


def test_a_segmentation_is_of_the_series_that_it_names_and_not_of_another_with_the_same_uids(
    stacks: dict[str, Stack], segmentations: tuple[Path, ...]
) -> None:
    (path,) = (path for path in segmentations if path.name.startswith("T2WI"))
    facts = read_frames(path, words(SETTINGS.words_of_site))
    assert not isinstance(facts, Fault)
    (file,) = segmentation_files(facts)
    other = replace(stacks["T2WI"], series_instance_uid=stacks["DWI"].series_instance_uid)
    assert segmentation_of(stacks["T2WI"], [file]) is file
    assert segmentation_of(other, [file]) is None


def test_a_result_of_this_node_is_no_truth(drawn: Path, tmp_path: Path, stacks: dict[str, Stack]) -> None:
    (drawn / "T2WI.seg.dcm").unlink()
    stack = stacks["T2WI"]
    own = {"manufacturer": "rectal-node", "manufacturer_model_name": "rectal-node"}
    write_segmentation(drawn / "own.dcm", stack, [block(assemble(stack))], **own)
    (made,) = run(drawn, tmp_path / "out")
    assert "T2WI: E-MASK-NONE" in made.reason


def test_an_empty_segmentation_and_one_in_another_place_are_refused(
    drawn: Path, tmp_path: Path, stacks: dict[str, Stack]
) -> None:
    (drawn / "T2WI.seg.dcm").unlink()
    (drawn / "DWI.seg.dcm").unlink()
    write_segmentation(drawn / "empty.dcm", stacks["T2WI"], [np.zeros_like(block(assemble(stacks["T2WI"])))])
    write_segmentation(drawn / "moved.dcm", stacks["DWI"], [block(assemble(stacks["DWI"]))])
    moved = dcmread(drawn / "moved.dcm")
    moved.FrameOfReferenceUID = "1.2.3"
    moved.save_as(drawn / "moved.dcm")
    (made,) = run(drawn, tmp_path / "out")
    assert "T2WI: E-MASK-EMPTY" in made.reason
    assert "DWI: E-MASK-PLACE" in made.reason


def test_nifti_masks_are_found_by_series_or_by_study_on_any_grid(
    study: Path, tmp_path: Path, stacks: dict[str, Stack], uid: str
) -> None:
    masks = tmp_path / "masks"
    for role, stack in stacks.items():
        image = assemble(stack)
        mask = sitk.GetImageFromArray(block(image))
        mask.CopyInformation(image)
        finer = sitk.Cast(average_onto(mask, divided(grid_of(mask), (2, 2, 1))) > 0.5, sitk.sitkUInt8)
        write(
            finer, masks / uid / "DWI.mask.nii.gz" if role == "DWI" else masks / f"{stack.series_instance_uid}.nii.gz"
        )
    (made,) = run(study, tmp_path / "out", masks=MaskSources(folder=masks))
    assert made.outcome is Outcome.WRITTEN, made.reason
    (case,) = read_cohort(tmp_path / "out", FEW).cases
    for role, stack in stacks.items():
        wanted = block(assemble(stack)) > 0
        mask = sitk.GetArrayFromImage(read_mask(case.volumes[Contrast(role)])) > 0
        assert 2 * (mask & wanted).sum() / (mask.sum() + wanted.sum()) > 0.95


def test_a_table_names_cases_and_gives_labels(drawn: Path, tmp_path: Path, uid: str) -> None:
    table = tmp_path / "site.csv"
    table.write_text(f"study,case,patient,split,label,age\n{uid},A1,A,test,1,61\n1.2.3,A2,B,,0,50\n")
    made, gone = sorted(run(drawn, tmp_path / "out", table=table), key=lambda each: each.case_id)
    assert made.outcome is Outcome.WRITTEN
    assert gone.reason == f"in the table, but no file of it lies in {drawn.parent}"
    (case,) = read_cohort(tmp_path / "out", FEW).cases
    assert (case.facts.case_id, case.facts.patient_id, case.facts.split) == ("A1", "A", Split.TEST)
    assert (case.facts.label, dict(case.facts.clinical)) == (1, {"age": "61"})


def test_a_case_without_tumour_needs_no_mask(study: Path, tmp_path: Path, uid: str) -> None:
    (tmp_path / "site.csv").write_text(f"study,case,tumour\n{uid},A1,no\n")
    (made,) = run(study, tmp_path / "out", table=tmp_path / "site.csv")
    assert made.outcome is Outcome.WRITTEN, made.reason
    (case,) = read_cohort(tmp_path / "out", FEW).cases
    assert not case.facts.tumour


def test_a_table_that_is_wrong_stops_the_command_with_a_line_for_each_fault(drawn: Path, tmp_path: Path) -> None:
    table = tmp_path / "site.csv"
    table.write_text("study,case,label\n1.2.3,A1,high\n1.2.3,A2,1\n")
    with pytest.raises(NodeError) as raised:
        run(drawn, tmp_path / "out", table=table)
    assert str(raised.value).splitlines() == [
        "site.csv:2: label is 'high'; known are 0, 1 or nothing",
        "site.csv: study 1.2.3 stands there more than once",
    ]


def test_a_case_cannot_leave_the_folder(drawn: Path, tmp_path: Path, uid: str) -> None:
    (tmp_path / "site.csv").write_text(f"study,case\n{uid},../../x\n")
    (made,) = run(drawn, tmp_path / "out", table=tmp_path / "site.csv")
    assert made.outcome is Outcome.LEFT_OUT
    assert "the case id names a folder" in made.reason


def test_studies_of_one_patient_share_a_patient(written_by: Callable[[str], Any]) -> None:
    frames = read_frames(written_by("Siemens Skyra").paths[0], words())
    others = read_frames(written_by("GE MR750").paths[0], words())
    named = registered([StudyFacts("1.1", frames), StudyFacts("1.2", frames), StudyFacts("1.3", others)], None)
    same = frames[0].header.patient == others[0].header.patient
    assert named["1.1"].patient_id == named["1.2"].patient_id
    assert (named["1.1"].patient_id == named["1.3"].patient_id) is same
    assert len({entry.case_id for entry in named.values()}) == 3


def test_a_patient_is_the_same_with_and_without_birth_date_and_another_of_the_same_id_is_not(
    written_by: Callable[[str], Any],
) -> None:
    (frame,) = read_frames(written_by("Siemens Skyra").paths[0], words())
    known = {
        "1.1": identity("P-1", "", "19610307"),
        "1.2": identity("p-1 "),
        "1.3": identity("P-2", "", "19610307"),
        "1.4": identity("", "", "19610307"),
        "1.5": identity(""),
        "1.6": identity("P-3", "", "19610307"),
        "1.7": identity("P-3", "", "19700101"),
    }
    studies = [
        StudyFacts(uid, (replace(frame, header=replace(frame.header, patient=patient)),))
        for uid, patient in known.items()
    ]
    named = registered(studies, None)
    assert named["1.1"].patient_id == named["1.2"].patient_id
    assert len({entry.patient_id for entry in named.values()}) == 6


def test_the_command_tells_what_became_of_every_study_and_keeps_the_mapping_outside(
    drawn: Path, tmp_path: Path, written_by: Callable[[str], Any], uid: str
) -> None:
    other = written_by("GE MR750")
    for path in other.paths[:40]:
        (drawn.parent / f"{path.parent.name}-{path.name}").symlink_to(path)
    (tmp_path / "config.toml").write_text("")
    options = ("--config", tmp_path / "config.toml")
    answer = command("cohort", drawn.parent, tmp_path / "out", *options, "--mapping", tmp_path / "out" / "map.csv")
    assert isinstance(answer.exception, NodeError)
    answer = command("cohort", drawn.parent, tmp_path / "out", *options, "--mapping", tmp_path / "map.csv")
    assert answer.exit_code == 0, answer.output
    assert "1 written, 0 there already, 1 left out" in answer.stdout
    assert "left out: " in answer.stdout
    rows = list(csv.DictReader((tmp_path / "map.csv").read_text().splitlines()))
    uids = {uid, other.instances[0].StudyInstanceUID}
    assert {row["study"] for row in rows} == uids
    answer = command("cohort", "--check", tmp_path / "out")
    assert "at least 5 cases are needed" in str(answer.exception)
