"""The content of the report, in order: first the answer, then what limits it, then the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from models.research.documents.blocks import Block, Bullets, Document, Heading, Paragraph, Picture, Table
from models.research.evaluation.calibration import GROUPS, LEAST_A_GROUP, SPAN
from models.research.evaluation.feature_stability import FeatureStability
from models.research.evaluation.report import comparison_tables, feature_figures, figures, model_tables
from models.research.evaluation.report.answers import Bundle
from models.research.evaluation.report.cautions import SIMULATED, cautions
from models.research.evaluation.report.checklist import Extent, Item
from models.research.evaluation.report.numbers import number, one_line, signed_interval
from models.research.evaluation.results import Evaluation
from models.research.evaluation.study import PAIRS


def document(
    evaluation: Evaluation,
    bundle: Bundle | None,
    stability: Sequence[FeatureStability],
    checklists: Mapping[str, Sequence[Item]],
    provenance: Mapping[str, str],
) -> Document:
    """The whole report. `checklists` by name; `provenance` are names and values of how it was made."""
    about = evaluation.predictions.about
    target = about.target or "a two-class outcome (the table does not name it)"
    positive = f"; positive class: {about.positive_class}" if about.positive_class else ""
    return Document(
        title="Evaluation of predictions",
        statement=f"Predicted: {target}{positive}. Table {about.name}.",
        blocks=(
            *_summary(evaluation),
            *_super_resolution(evaluation),
            *_models(evaluation),
            *_subgroups(evaluation),
            *_oracle(evaluation),
            *_weights(bundle),
            *_stability(stability),
            *_methods(evaluation),
            *_checklists(checklists),
            Heading("How this was made"),
            Table("Input, options and software", ("", ""), tuple(provenance.items()), labels=2),
        ),
        supplement=True,
    )


def _summary(evaluation: Evaluation) -> Iterator[Block]:
    if evaluation.predictions.about.simulated:
        yield Paragraph(SIMULATED, important=True)
    yield Heading("In short")
    yield Bullets(tuple(_answers(evaluation)))
    yield Heading("What limits it")
    yield Bullets(cautions(evaluation))
    yield model_tables.cases(evaluation)


def _answers(evaluation: Evaluation) -> Iterator[str]:
    """Of the cohort that is farthest from training: super against normal, the controls, the oracle."""
    last = list(evaluation.predictions.cohorts_present())[-1]
    rows = [row for row in comparison_tables.by_input(evaluation) if row.cohort is last]
    main = [row for row in rows if (row.resolution, row.reference) == PAIRS[0]]
    others = [row for row in rows if row not in main and row.input == evaluation.main_input]
    if main:
        yield comparison_tables.verdict(main)
    yield from map(comparison_tables.sentence, [*main, *others])
    if not rows:
        for row in evaluation.performances:
            if row.cohort is last:
                area = row.auc
                shown = f"{number(area.value)} ({number(area.low)} to {number(area.high)})"
                yield f"{row.model.name}, {last} cohort: AUC {shown}."
    for gap in evaluation.oracle_gaps:
        if gap.cohort is last and gap.model.input == evaluation.main_input and gap.model.resolution in PAIRS[0]:
            difference = one_line(signed_interval(gap.difference))
            yield (
                f"{gap.model.name}, {last} cohort: the drawn parameters themselves reach AUC {number(gap.oracle_auc)}, "
                f"{difference} more than the model."
            )


def _super_resolution(evaluation: Evaluation) -> Iterator[Block]:
    if not evaluation.comparisons:
        return
    yield Heading("Super-resolution")
    yield Picture(
        "Differences of AUC between resolutions, with 95 % intervals (DeLong)",
        "auc-differences",
        figures.differences(evaluation),
        "Right of the line the first of the two is better. An interval that holds 0 shows no difference.",
    )
    yield comparison_tables.super_against_normal(evaluation)
    yield comparison_tables.reclassification(evaluation)
    controls = comparison_tables.controls(evaluation)
    if controls.rows:
        yield controls


def _models(evaluation: Evaluation) -> Iterator[Block]:
    predictions = evaluation.predictions
    yield Heading("Discrimination, calibration, clinical use")
    for resolution in predictions.resolutions:
        yield Picture(
            f"ROC curves, resolution: {resolution}",
            f"roc-{resolution}",
            figures.roc_by_resolution(evaluation, resolution),
            "In the key: AUC with its 95 % interval (DeLong).",
        )
    for looks_at in sorted(predictions.inputs, key=lambda name: name != evaluation.main_input):
        yield Picture(
            f"ROC, calibration and decision curves, {looks_at}",
            f"curves-{''.join(letter if letter.isalnum() else '-' for letter in looks_at.lower())}",
            figures.curves_of_input(evaluation, looks_at),
            "Calibration: smooth curve; points are groups of equal size. Bands (95 %, bootstrap) and points only of "
            "normal and super, so that they can be seen.",
        )
    yield model_tables.performance(evaluation)
    yield model_tables.operating_points(evaluation)


def _subgroups(evaluation: Evaluation) -> Iterator[Block]:
    yield Heading("Subgroups by scanner")
    yield Picture(
        f"AUC by scanner, {evaluation.main_input}",
        "subgroups",
        figures.subgroups(evaluation, evaluation.main_input),
        "With 95 % intervals (DeLong). No mark: fewer than five cases of a class.",
    )
    for number_, group in enumerate(evaluation.options.groups, start=1):
        if any(row.group == group and row.auc is not None for row in evaluation.subgroups):
            yield Picture(
                f"ROC curves, {group} alone",
                f"roc-group-{number_}",
                figures.group_roc(evaluation, group),
                f"Scanners: {', '.join(evaluation.options.groups[group])}.",
            )
    yield model_tables.subgroups(evaluation)


def _oracle(evaluation: Evaluation) -> Iterator[Block]:
    if evaluation.oracle_gaps:
        yield Heading("What could be reached")
        yield comparison_tables.oracle(evaluation)


def _weights(bundle: Bundle | None) -> Iterator[Block]:
    if bundle:
        manifest, catalogue = bundle
        yield Heading("Feature weights")
        yield Picture(
            "Weights of the chosen features",
            "feature-weights",
            feature_figures.feature_weights(catalogue),
            f"Bundle {manifest.name} {manifest.version}; the weights of a model sum to 1.",
        )


def _stability(stability: Sequence[FeatureStability]) -> Iterator[Block]:
    if stability:
        yield Heading("Feature stability")
        yield Picture(
            "Share of features that agree at least so well with themselves at normal resolution",
            "feature-stability",
            feature_figures.feature_stability(stability),
            "ICC(2,1): absolute agreement, single measurement. Further to the upper right is more alike.",
        )
        yield model_tables.feature_stability(stability)


def _methods(evaluation: Evaluation) -> Iterator[Block]:
    options = evaluation.options
    yield Heading("Methods")
    yield Bullets(
        (
            "AUC: Mann-Whitney; variance, interval and paired test by DeLong in the fast form of Sun and Xu (2014). "
            "Beside it the percentile interval of a paired bootstrap within the classes.",
            "NRI and IDI: Pencina et al. (2008, 2011). Variance of the NRI unconditional, as in R's improveProb; the "
            "IDI on raw probabilities, divided by its standard error.",
            "Calibration: intercept of the log odds with slope 1, slope with its own intercept, both by maximum "
            f"likelihood. Curve: local straight lines over the nearest {SPAN:.0%} of the cases (loess of degree 1). "
            f"Calibration error over up to {GROUPS} groups of equal size, {LEAST_A_GROUP} cases or more each.",
            f"Net benefit: TP/N − FP/N × t/(1 − t). As a figure at t = {evaluation.threshold:.3f}"
            + (", as asked for." if options.threshold else ", the share of positive cases in training."),
            "Cut-offs: Youden's index on the training cohort, unchanged everywhere else. Shares with Wilson intervals.",
            f"Bootstrap: {options.draws} draws, seed {options.seed}; all models of a cohort see the same draws.",
            "normal, super, cubic, none: the same mask on the images at normal resolution, super-resolved, "
            "interpolated to the super-resolved grid by cubic splines, and as acquired.",
        )
    )


def _checklists(checklists: Mapping[str, Sequence[Item]]) -> Iterator[Block]:
    yield Heading("Check-lists")
    yield Paragraph(
        "Filled with what the run can answer by itself. Everything that only the authors know is left open. Topics are "
        "shortened; CLEAR: Kocak et al., Insights into Imaging 2023;14:75. TRIPOD+AI: Collins et al., BMJ "
        "2024;385:e078378. Both CC BY 4.0."
    )
    for name, items in checklists.items():
        counts = {extent: sum(item.extent is extent for item in items) for extent in Extent}
        yield Table(
            f"{name}: {', '.join(f'{count} {extent}' for extent, count in counts.items())}",
            ("item", "section", "topic", "state", "answer of the run"),
            tuple((item.item, item.section, item.topic, item.extent.value, item.text) for item in items),
            labels=5,
            dimmed=Extent.OPEN.value,
        )
