"""The structured report, read back by highdicom and walked item by item."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from highdicom.sr import srread
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.results.identity import RESEARCH_STATEMENT


def read(encoded):
    (entry,) = [entry for entry in encoded.objects if entry.role == "report"]
    return srread(entry.path)


def numbers(item: Dataset) -> list[Dataset]:
    """Every NUM below an item."""
    found = [item] if item.get("ValueType") == "NUM" else []
    return found + [num for child in item.get("ContentSequence", ()) for num in numbers(child)]


def texts(report) -> dict[str, list[str]]:
    """Text of the qualitative evaluations by the meaning of their concept."""
    container = report.ContentSequence[-1]
    assert container.ConceptNameCodeSequence[0].CodeMeaning == "Qualitative Evaluations"
    found: dict[str, list[str]] = {}
    for item in container.ContentSequence:
        found.setdefault(item.ConceptNameCodeSequence[0].CodeMeaning, []).append(item.TextValue)
    return found


def value_of(measurement) -> float:
    return float(measurement.value)


def test_each_sequence_with_a_tumour_has_its_group_with_its_segmentation(encoded):
    groups = read(encoded).content.get_volumetric_roi_measurement_groups()
    referenced = [group.referenced_segment[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID for group in groups]
    wanted = [
        next(entry.sop_instance_uid for entry in encoded.objects if entry.role == f"segmentation-{name}")
        for name in ("t2wi", "dwi", "pvp")
    ]
    assert referenced == wanted
    assert all(group.finding_type == codes.SCT.Neoplasm for group in groups)


def test_the_volumes_are_those_of_the_masks_that_are_delivered_each_with_its_grid(siemens):
    groups = read(siemens).content.get_volumetric_roi_measurement_groups()
    for group, result in zip(groups, siemens.results.sequences, strict=True):
        told = {
            volume[0].ContentSequence[0].ConceptCodeSequence[0].CodeValue: value_of(volume)
            for volume in group.get_measurements(name=codes.SCT.Volume)
        }
        refined = {"AI-SR-GRID": result.volume_ml} if result.sequence == "T2WI" else {}
        assert told == pytest.approx({**refined, "ACQ-GRID": result.acquired_ml}, rel=1e-9)


def test_features_carry_ibsi_codes_and_their_values(siemens):
    group = read(siemens).content.get_volumetric_roi_measurement_groups()[0]
    sphericity = group.get_measurements(name=codes.IBSI.Sphericity)[0]
    assert value_of(sphericity) == siemens.results.sequences[0].features["original_shape_Sphericity"]
    diameter = group.get_measurements(name=codes.IBSI.Maximum3DDiameterOfAMesh)[0]
    assert diameter.unit.value == "mm"


def test_every_number_names_the_algorithm_that_made_it(encoded):
    found = numbers(encoded.datasets("report")[0].ContentSequence[-2])
    limits = {codes.SCT.Minimum.value, codes.SCT.Maximum.value}  # of a cohort; measured by nobody here
    assert len(found) > 40
    for number in (it for it in found if it.ConceptNameCodeSequence[0].CodeValue not in limits):
        modifiers = {
            child.ConceptNameCodeSequence[0].CodeValue: child.get("TextValue")
            for child in number.ContentSequence
            if child.RelationshipType == "HAS CONCEPT MOD"
        }
        assert modifiers["111001"]
        assert modifiers["111003"]
        assert RESEARCH_STATEMENT in [child.get("TextValue") for child in number.ContentSequence]


def test_all_eight_probabilities_are_there_and_the_main_one_is_first_and_named(siemens):
    report = siemens.datasets("report")[0]
    found = [n for n in numbers(report) if n.ConceptNameCodeSequence[0].CodeValue == "SIM-GRADE"]
    methods = [it.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning for it in found]
    assert methods == ["Main model", *["Model beside the main one"] * 7]
    assert [float(it.MeasuredValueSequence[0].NumericValue) for it in found] == pytest.approx(
        [it.probability for it in (siemens.results.prediction.main, *siemens.results.prediction.others)]
    )


def test_the_probability_stands_with_its_bundle_cut_off_and_target(siemens):
    report = siemens.datasets("report")[0]
    probability = next(n for n in numbers(report) if n.ConceptNameCodeSequence[0].CodeValue == "SIM-GRADE")
    measured = probability.MeasuredValueSequence[0]
    assert float(measured.NumericValue) == 0.73
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    parameters = " ".join(str(child.get("TextValue", "")) for child in probability.ContentSequence)
    assert "cut-off: 0.41" in parameters
    assert "grade 0.2.0 (digest c3c3c3c3c3c3" in parameters
    assert "simulated histologic grade" in parameters


def test_values_that_are_not_finite_are_left_out_and_never_zero(make_encoded):
    def spoil(results):
        first = results.sequences[0]
        features = {**first.features, "original_shape_Sphericity": math.nan, "original_shape_Flatness": math.inf}
        return replace(results, sequences=(replace(first, features=features),), prediction=None)

    group = read(make_encoded("siemens", ("T2WI",), change=spoil)).content.get_volumetric_roi_measurement_groups()[0]
    assert group.get_measurements(name=codes.IBSI.Sphericity) == []
    assert group.get_measurements(name=codes.IBSI.Flatness) == []
    assert len(group.get_measurements(name=codes.IBSI.Elongation)) == 1


def test_no_tumour_is_said_with_the_images_looked_at_and_without_numbers(without_tumour):
    report = read(without_tumour)
    assert report.content.get_volumetric_roi_measurement_groups() == []
    (group,) = report.content.get_image_measurement_groups()
    assert group.finding_type == codes.SCT.Neoplasm
    (evaluation,) = group.get_qualitative_evaluations()
    assert evaluation.value == codes.SCT.Absent
    assert len(group.source_images) == sum(len(stack.frames) for stack in without_tumour.results.plan.stacks)
    measurements = without_tumour.datasets("report")[0].ContentSequence[-2]
    assert numbers(measurements) == []
    assert any("No tumour found" in text for text in texts(report)["Result"])


def test_the_rectum_is_coded_as_the_site_only_where_that_was_established(siemens, not_located):
    for encoded, sites in ((siemens, [codes.SCT.Rectum]), (not_located, [])):
        for group in read(encoded).content.get_volumetric_roi_measurement_groups():
            assert [site.value for site in group.finding_sites] == sites
    assert texts(read(siemens))["Location of the finding"][0].startswith(
        "T2WI, DWI, PVP: that the finding lies in the rectum is established as far as the node can tell: "
    )
    assert texts(read(not_located))["Location of the finding"] == [
        "T2WI, DWI, PVP: that the finding lies in the rectum is not established: the fields of view do not tell."
    ]


def test_findings_that_were_set_aside_stand_with_place_and_reason_and_nothing_is_called_absent(set_aside):
    report = read(set_aside)
    assert report.content.get_volumetric_roi_measurement_groups() == []
    (group,) = report.content.get_image_measurement_groups()
    (evaluation,) = group.get_qualitative_evaluations()
    assert evaluation.value.meaning == "Indeterminate"
    assert not group.finding_sites
    found = texts(report)
    assert found["Result"][0] == (
        "No reliable finding: DWI 9.3 ml, T2WI 8.2 ml at the left gluteal region; T2WI 0.45 ml in the anterior pelvis "
        "(bladder, prostate or uterus), near the midline, not reported."
    )
    assert found["Result"][1] == "T2WI: no reliable finding."
    assert any(line.startswith("PVP") and line.endswith("no tumour found.") for line in found["Result"])
    assert found["Finding not reported"] == [
        "DWI 9.3 ml, T2WI 8.2 ml at the left gluteal region: not reported, no rectum lies there (E-FINDING-PLACE)",
        "T2WI 0.45 ml in the anterior pelvis (bladder, prostate or uterus), near the midline: not reported, none of "
        "T2WI, DWI shows it when it is read without the others (E-FINDING-UNCONFIRMED)",
    ]


def test_missing_sequences_are_named_with_their_reason_and_there_is_no_probability(only_t2):
    report = read(only_t2)
    refusals = texts(report)["Not analysed"]
    assert refusals == [
        "DWI: no series can serve as DWI (NO_CANDIDATE)",
        "PVP: no series can serve as PVP (NO_CANDIDATE)",
    ]
    names = {n.ConceptNameCodeSequence[0].CodeValue for n in numbers(only_t2.datasets("report")[0])}
    assert "SIM-GRADE" not in names
    assert len(report.content.get_volumetric_roi_measurement_groups()) == 1


def test_what_was_used_and_every_warning_is_in_the_report(siemens):
    found = texts(read(siemens))
    assert found["Limitation of use"] == [
        f"{RESEARCH_STATEMENT} Prediction: trained on simulated labels. Segmentation: trained on simulated studies; "
        "research use only. Super-resolution: trained on simulated studies."
    ]
    assert found["Series used"][0] == (
        "Series 5 (T2WI tra): axial images: used as T2WI. "
        "Recognised with medium confidence: echo train length is not stated."
    )
    assert found["Warning"] == [
        "DWI: b 800 taken from a private element",
        "The prediction uses 1 feature(s) outside the range of the training cohort: T2WI thickness over length.",
    ]
    assert len(found["Model"]) == 3


def test_it_is_a_preliminary_unverified_english_report(siemens):
    report = read(siemens)
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    assert report.ContentSequence[0].ConceptCodeSequence[0].CodeValue == "en"
    assert report.SeriesDate == report.ContentDate == "20240315"


def test_everything_referred_to_is_listed_as_evidence(siemens):
    report = read(siemens)
    evidence = {str(instance) for _, _, instance, _ in report.get_evidence()}
    sources = {f.sop_instance_uid for stack in siemens.results.plan.stacks for f in stack.frames}
    segmentations = {e.sop_instance_uid for e in siemens.objects if e.role in ("segmentation-t2wi", "segmentation-dwi")}
    assert sources | segmentations <= evidence


def test_the_image_library_lists_every_source_image(siemens):
    library = next(
        item
        for item in siemens.datasets("report")[0].ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "111028"
    )
    listed = [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for group in library.ContentSequence
        for item in group.ContentSequence
        if item.ValueType == "IMAGE"
    ]
    assert sorted(listed) == sorted(f.sop_instance_uid for s in siemens.results.plan.stacks for f in s.frames)
    assert len(library.ContentSequence) == 3


def test_the_evidence_lists_what_the_content_refers_to_and_nothing_else(encoded, without_tumour):
    for study in (encoded, without_tumour):
        (report,) = study.datasets("report")
        (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
        listed = [
            it.ReferencedSOPInstanceUID
            for each in evidence.ReferencedSeriesSequence
            for it in each.ReferencedSOPSequence
        ]
        assert len(set(listed)) == len(listed)
        assert set(listed) == set(references(report))
        assert "PertinentOtherEvidenceSequence" not in report


def references(item: Dataset):
    """SOP Instance UIDs that the content names."""
    for reference in item.get("ReferencedSOPSequence", ()):
        yield reference.ReferencedSOPInstanceUID
    for child in item.get("ContentSequence", ()):
        yield from references(child)


def test_images_of_two_sequences_that_share_a_uid_are_all_named_with_their_series(make_encoded):
    """A reference by SOP Instance UID alone would tell one sequence from the other by nothing."""
    encoded = make_encoded("siemens", ("T2WI", "DWI"), with_tumour=False, change=sharing_uids)
    (study,) = read(encoded).CurrentRequestedProcedureEvidenceSequence
    named = {
        (str(series.SeriesInstanceUID), str(reference.ReferencedSOPInstanceUID))
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    stacks = [result.stack for result in encoded.results.sequences]
    assert named == {(key.series_instance_uid, key.sop_instance_uid) for stack in stacks for key in stack.instances}
    assert len(named) == sum(len(stack.frames) for stack in stacks)


def sharing_uids(results):
    """Gives the images of the second stack the UIDs of the first, in its files as well."""
    first, second = results.sequences
    frames = []
    for one, other in zip(first.stack.frames, second.stack.frames, strict=False):
        image = dcmread(other.path)
        image.SOPInstanceUID = one.sop_instance_uid
        image.save_as(other.path)
        frames.append(replace(other, sop_instance_uid=one.sop_instance_uid))
    changed = replace(second, stack=replace(second.stack, frames=tuple(frames)))
    return replace(results, sequences=(first, changed))
