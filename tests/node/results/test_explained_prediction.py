"""Why the model says what it says, in the report, on the page and in the PDF; for any target and anybody's bundle."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace

from matplotlib.text import Text
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from models.prediction.records import CodedConcept, Contribution, Target, Unanswered
from models.sequence import Sequence
from node.results.caption import Caption, caption
from node.results.explanation import SHOWN
from node.results.identity import RESEARCH_STATEMENT
from node.results.page import page_figure

OWN_WORDS = "trained on 412 patients of our own hospital; internal research"
OWN_TARGET = Target("Pathological response", "complete response", CodedConcept("PCR", "99OURS", "Probability of pCR"))
DIAMETER, DIAMETER_CODE = "T2WI|super|original_shape_Maximum3DDiameter", "L0JK"


def of_own_bundles(results):
    """The results as a site's own bundles would give them, with another target."""
    algorithms = {kind: replace(it, statement=OWN_WORDS) for kind, it in results.algorithms.items()}
    return replace(results, algorithms=algorithms, prediction=replace(results.prediction, target=OWN_TARGET))


def without_pvp(results):
    """The results of a model of T2WI, where the first choice could not answer."""
    prediction = results.prediction
    others = tuple(it for it in prediction.others if Sequence.PVP not in it.inputs)
    (main,) = (it for it in others if (it.inputs, it.resolution) == ((Sequence.T2WI,), "super"))
    others = tuple(it for it in others if it is not main)
    unanswered = Unanswered(prediction.main.name, (Sequence.PVP,))
    return replace(results, prediction=replace(prediction, main=main, others=others, unanswered=unanswered))


def groups(report: Dataset) -> list[Dataset]:
    """The tumour of each sequence."""
    return list(report.ContentSequence[-2].ContentSequence)


def named(item: Dataset, value: str) -> list[Dataset]:
    """Direct children with this concept."""
    return [it for it in item.get("ContentSequence", ()) if it.ConceptNameCodeSequence[0].CodeValue == value]


def number(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def remarks(report: Dataset, meaning: str) -> list[str]:
    items = report.ContentSequence[-1].ContentSequence
    return [it.TextValue for it in items if it.ConceptNameCodeSequence[0].CodeMeaning == meaning]


def page_text(results) -> str:
    """All that the page says, which is drawn once for picture and PDF."""
    return " ".join(
        " ".join(text.get_text() for text in page_figure(results, Caption(results.created_at)).findobj(Text)).split()
    )


def all_text(item: Dataset) -> str:
    return " ".join(str(element.value) for element in item.iterall() if element.VR in ("LO", "LT", "SH", "ST", "UT"))


def contribution_of(group: Dataset, code: str) -> Dataset:
    """The contribution of the feature with this code."""
    (found,) = (
        it
        for it in named(group, "AI-CONTRIBUTION")
        if named(it, "AI-FEATURE")[0].ConceptCodeSequence[0].CodeValue == code
    )
    return found


def explained(group: Dataset) -> list[Dataset]:
    """The features of a group that contributions are said of, in the order of these."""
    codes_of = [named(it, "AI-FEATURE")[0].ConceptCodeSequence[0].CodeValue for it in named(group, "AI-CONTRIBUTION")]
    return [item for code in codes_of for item in named(group, code)]


def test_a_feature_carries_value_training_range_and_contribution_as_coded_numbers(siemens):
    group = groups(siemens.datasets("report")[0])[0]
    (diameter,) = named(group, DIAMETER_CODE)
    assert number(diameter) == 6.5
    contribution = contribution_of(group, DIAMETER_CODE)
    assert number(contribution) == 0.62
    assert named(contribution, "111001")[0].TextValue == "grade: T2WI+DWI+PVP super"
    assert number(named(contribution, codes.SCT.Minimum.value)[0]) == 5.0
    assert number(named(contribution, codes.SCT.Maximum.value)[0]) == 84.8
    units = named(contribution, codes.SCT.Maximum.value)[0].MeasuredValueSequence[0].MeasurementUnitsCodeSequence
    assert units[0].CodeValue == "mm"
    assert named(contribution, "121405")[0].TextValue == "Training cohort of grade 0.2.0"


def test_each_named_feature_stands_once_in_the_group_of_its_sequence(siemens):
    found = [explained(group) for group in groups(siemens.datasets("report")[0])]
    # The strongest four, and the flatness, which is weak but out of range.
    assert [[number(it) for it in group] for group in found] == [[6.5, 5.5], [0.71], [2079.0, -12.5]]


def test_a_feature_of_a_filtered_image_has_a_code_of_its_own_and_not_that_of_ibsi(siemens):
    (item,) = explained(groups(siemens.datasets("report")[0])[1])
    concept = item.ConceptNameCodeSequence[0]
    assert concept.CodingSchemeDesignator == "99RECTALNODE"
    assert concept.CodeMeaning == "log-sigma-3-0-mm-3D_glszm_SmallAreaEmphasis"


def test_the_report_tells_the_reasons_in_words_the_strongest_first(siemens):
    lines = remarks(siemens.datasets("report")[0], "Explanation of the prediction")
    assert lines[:2] == [
        "Raises the probability (+0.620): T2WI largest diameter 6.5 mm (training cohort 5 to 84.8 mm) "
        "[IBSI Maximum 3D Diameter of a Mesh (L0JK)].",
        "Lowers the probability (-0.310): DWI small patches, 3 mm filter 0.71 (training cohort 0.6 to 0.8) "
        "[IBSI Small Zone Emphasis].",
    ]
    assert "5.5 (OUTSIDE the training cohort 0.3 to 0.9)" in lines[SHOWN]
    assert "base +0.395, all other features -0.050, together +0.985" in lines[-1]


def test_the_page_shows_the_strongest_features_with_value_range_and_direction(siemens):
    text = page_text(siemens.results)
    for part in ("T2WI largest diameter", "6.5 mm · range 5 to 84.8 mm", "raises +0.62", "lowers -0.31"):
        assert part in text
    assert "IBSI Maximum 3D Diameter of a Mesh (L0JK)" in text
    assert "DWI width over length" not in text


def test_every_model_s_answer_is_on_the_page_with_the_main_one_bold(siemens):
    prediction = siemens.results.prediction
    answers = {f"{it.probability:.2f}" for it in prediction.others}
    page = page_figure(siemens.results, Caption(siemens.results.created_at))
    shown = [it for it in page.findobj(Text) if it.get_text() in answers | {"0.73"}]
    assert {it.get_text() for it in shown if it.get_weight() == "normal"} == answers
    assert {it.get_text() for it in shown if it.get_weight() == "bold"} == {"0.73"}


def test_a_value_outside_the_training_range_is_flagged_in_every_output(siemens, make_encoded):
    def outlying(results):
        main = results.prediction.main
        strange = Contribution(DIAMETER, 6.5, 20.0, 84.8, 0.62)
        return replace(
            results,
            prediction=replace(
                results.prediction, main=replace(main, contributions=(strange, *main.contributions[1:]))
            ),
        )

    study = make_encoded("siemens", change=outlying)
    warning = "2 feature(s) outside the range of the training cohort: T2WI largest diameter; T2WI thickness over length"
    assert any(warning in text for text in remarks(study.datasets("report")[0], "Warning"))
    group = groups(study.datasets("report")[0])[0]
    (diameter,) = named(group, DIAMETER_CODE)
    assert number(diameter) < number(named(contribution_of(group, DIAMETER_CODE), codes.SCT.Minimum.value)[0])
    text = page_text(study.results)
    assert warning in text
    assert "⚠ outside: 6.5 mm" in text
    assert "⚠" not in page_text(siemens.results)


def test_a_missing_sequence_is_said_with_the_model_that_answers_instead(make_encoded):
    study = make_encoded("siemens", ("T2WI", "DWI"), change=without_pvp)
    said = (
        "Predicted without PVP: T2WI+DWI+PVP super needs features of PVP that could not be measured; T2WI super is the "
        "best model for what is there."
    )
    report = study.datasets("report")[0]
    assert said in remarks(report, "Warning")
    assert page_text(study.results).count(said) == 1
    probability = named(groups(report)[0], "SIM-GRADE")[0]
    assert "in place of: T2WI+DWI+PVP super" in [it.get("TextValue") for it in probability.ContentSequence]


def test_a_site_s_own_bundles_say_their_own_words_in_every_object(make_encoded):
    study = make_encoded("siemens", change=of_own_bundles)
    for role in dict.fromkeys(entry.role for entry in study.objects):
        text = all_text(study.datasets(role)[0])
        assert OWN_WORDS in text, role
        assert RESEARCH_STATEMENT in text, role
        assert "simulated" not in text.lower(), role
    shown = page_text(study.results)
    assert f"Models: {OWN_WORDS}." in shown
    assert "simulated" not in shown.lower()


def test_the_target_is_the_bundle_s_in_code_and_words(make_encoded):
    study = make_encoded("siemens", change=of_own_bundles)
    (report,) = study.datasets("report")
    assert len(named(groups(report)[0], "PCR")) == 8
    schemes = {item.CodingSchemeDesignator for item in report.CodingSchemeIdentificationSequence}
    assert schemes == {"IBSI", "99RECTALNODE", "99OURS"}
    for text in (all_text(report), page_text(study.results)):
        assert "complete response (Pathological response)" in text
        assert "high grade" not in text


def test_the_pdf_is_a_document_of_the_study_that_names_the_report_as_its_source(siemens):
    (document,) = siemens.datasets("summary-pdf")
    (report,) = siemens.datasets("report")
    assert document.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert (document.MIMETypeOfEncapsulatedDocument, document.Modality) == ("application/pdf", "DOC")
    pdf = document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert document.SourceInstanceSequence[0].ReferencedSOPInstanceUID == report.SOPInstanceUID


def test_the_pdf_has_the_same_bytes_in_another_process(siemens):
    (document,) = siemens.datasets("summary-pdf")
    call = (
        "import pickle, sys; from node.results.page import Page; results, caption = pickle.load(sys.stdin.buffer); "
        "sys.stdout.buffer.write(Page(results).pdf(caption))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    again = subprocess.run(
        [sys.executable, "-c", call],
        input=pickle.dumps((siemens.results, caption(document, siemens.results.created_at, name_patient=True))),
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert again == document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
