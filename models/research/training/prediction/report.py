"""The written report of a training of the prediction, in Markdown: every figure from the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf

from models.prediction.records import ModelCard, Target
from models.research.documents.blocks import Block, Bullets, Code, Document, Heading, Paragraph, Table
from models.research.documents.markdown import markdown
from models.research.evaluation.discrimination import AucInterval, DeLongTest
from models.research.evaluation.predictions import Resolution
from models.research.training.prediction.figures import BEST_INFORMED, CombatEffect, Results
from models.research.training.prediction.fitting.classifiers import AFTER_COMBAT, CLASSIFIERS, MAIN
from models.research.training.prediction.fitting.cross_validation import ModelEvidence
from models.research.training.prediction.fitting.fit import INNER_FOLDS
from models.research.training.prediction.fitting.harmonisation import LEAST_CASES
from models.research.training.prediction.study import INPUTS, ModelKey, TrainingPlan
from models.research.training.prediction.tables import CONTROLS, SHIPPED
from models.sequence import ANALYSED

#: How near the oracle a model should come.
GOAL = 0.05
_STRONGEST = 3

_CONTROLS_NOTE = (
    "Cubic (cubic B-spline to the grid of super-resolution) and none (voxels as acquired) are controls, not in the "
    "bundle."
)


def report(
    results: Results,
    models: tuple[ModelCard, ...],
    target: Target,
    plan: TrainingPlan,
    statement: str,
    command: str,
) -> str:
    """The report of a study in Markdown; the same study gives the same text."""
    blocks = [
        Code(command),
        *_cases(results, statement),
        *_method(results, plan),
        *_areas(results),
        *_resolutions(results),
        *_combat(list(results.combat())),
        *(_oracle(results.against_oracle()) if results.table.oracle is not None else ()),
        *_features(results, models),
        Heading("Not reached, not done"),
        Bullets((*_not_reached(results), *_not_done(results))),
    ]
    return markdown(Document(f"Prediction: {target.name}", "Written by the training:", tuple(blocks)))


def _cases(results: Results, statement: str) -> Iterator[Block]:
    table = results.table
    stable = "no case was" if table.perturbed is None else f"{len(table.perturbed.rows)} cases were"
    yield Paragraph(
        f"{len(table.cases)} {statement}. {int(table.labels.sum())} are positive. {results.left_out} more were left "
        f"out, because a feature could not be computed. {len(table.names)} features of {len(ANALYSED)} sequences at "
        f"{len(results.resolutions)} resolutions; {stable} measured again under other masks."
    )
    if results.held_out is not None:
        positive = int(results.held_out.labels.sum())
        held_out = len(results.held_out.cases)
        yield Paragraph(f"Held out: {held_out} cases, {positive} positive; nothing is fitted on them.")


def _method(results: Results, plan: TrainingPlan) -> Iterator[Block]:
    stable = results.study[BEST_INFORMED].stable
    stability = (
        "skipped here, because no case was measured again"
        if stable is None
        else f"judged by the perturbed cases of the same fold; {stable} features of {BEST_INFORMED.name} over all cases"
    )
    last = {"lasso": "LASSO", "mrmr": "mRMR"}[plan.method]
    fitted = (
        "hyper-parameters and calibration" if plan.search else "the calibration (no hyper-parameters were searched)"
    )
    yield Heading("Method")
    yield Paragraph(
        f"In each of {plan.folds} folds, and with each scanner left out, everything is done anew on the other cases:"
    )
    yield Bullets(
        (
            f"features that are stable under other masks (ICC 0.75 or more; {stability}), that vary, that differ "
            "between the classes by ranks and do not repeat one another (Spearman 0.9), then the first to enter by "
            f"{last};",
            f"{fitted} by the unseen cases of an inner cross-validation of {INNER_FOLDS} folds.",
        )
    )
    yield Paragraph(
        "The cut-off is Youden's on the out-of-fold probabilities. Both classes weigh the same, but for nearest "
        "neighbours, which know no weights. Patients stay in one fold."
    )


def _areas(results: Results) -> Iterator[Block]:
    """Cross-validated and across scanners, a row a model and classifier."""
    held_out = results.held_out is not None
    header = ("model", "classifier", "AUC, folds (95 %)", "AUC, scanner left out", *(["AUC, held out"] * held_out))
    rows = []
    for key in results.study:
        row = [key.name, key.classifier, _area(results.area(key)), _area(results.area_across_scanners(key))]
        rows.append((*row, *([_area(results.area_held_out(key))] * held_out)))
    yield Heading("AUC")
    yield Table("", header, tuple(rows), labels=2)
    if set(results.resolutions) & set(CONTROLS):
        yield Paragraph(_CONTROLS_NOTE)


def _resolutions(results: Results) -> Iterator[Block]:
    others = [resolution for resolution in results.resolutions if resolution != Resolution.SUPER]
    rows = []
    for label in INPUTS:
        for other in others:
            test = results.compare(label, Resolution.SUPER, other)
            rows.append((label, f"super - {other}", _signed(test), f"{test.p:.3f}"))
    yield Heading("Resolutions compared")
    yield Paragraph(f"Out-of-fold probabilities of {MAIN}, DeLong's test for paired areas.")
    yield Table("", ("input", "difference", "AUC (95 %)", "p"), tuple(rows), labels=2)


_JUDGED = {"out_of_fold": "in folds", "across_scanners": "scanner left out", "held_out": "held out"}


def _combat(effects: SequenceOf[CombatEffect]) -> Iterator[Block]:
    if not effects:
        return
    rows = [
        (it.model, _JUDGED[it.judged], _signed(it.test), f"{it.test.p:.3f}", f"{it.unharmonised} of {it.cases}")
        for it in effects
    ]
    yield Heading("ComBat across scanners")
    yield Paragraph(
        f"{AFTER_COMBAT}: before the selection, the effects of the scanners are taken out of the features; they are "
        "estimated on the training cases of each fold, without labels (combatlearn, parametric; the prior of an effect "
        f"is made of the same feature on every scanner). Against {MAIN} on features as measured, DeLong's test for "
        f"paired areas. A case whose scanner has fewer than {LEAST_CASES} training cases passes unharmonised: with a "
        "scanner left out, every case does."
    )
    header = ("model", "judged", "with - without ComBat, AUC (95 %)", "p", "passed unharmonised")
    yield Table("", header, tuple(rows), labels=2)


def _oracle(tests: Mapping[ModelKey, DeLongTest]) -> Iterator[Block]:
    rows = [(key.name, f"{test.first_auc:.3f}", f"{test.second_auc:.3f}", _signed(test)) for key, test in tests.items()]
    yield Heading("Against the oracle")
    yield Paragraph(
        f"AUC of the probability that the label was drawn with, and of {MAIN} on all sequences, each case judged by a "
        "model that has not seen its scanner; DeLong's test for paired areas. The goal is to lie within "
        f"{GOAL} of the oracle:\n{_goal(tests)}."
    )
    yield Table("", ("model", "oracle", "model, scanner left out", "oracle - model, AUC (95 %)"), tuple(rows))
    yield Paragraph(
        "The oracle knows every tissue parameter that the label was drawn with; what images without noise, blur or "
        "neighbours show of it is measured by `python -m models.research.experiments.label`."
    )


def _goal(tests: Mapping[ModelKey, DeLongTest]) -> str:
    return "; ".join(
        f"{key.name} {'reaches it' if test.difference <= GOAL else f'misses it by {test.difference - GOAL:.3f}'}"
        for key, test in tests.items()
        if key.resolution in SHIPPED
    )


def _features(results: Results, models: tuple[ModelCard, ...]) -> Iterator[Block]:
    whole = next(card for card in models if card.name == BEST_INFORMED.name)
    others = [card for card in models if card is not whole]
    yield Heading("Selected features")
    yield Paragraph(
        "Of the models on all cases. The weight in the trees is CatBoost's (a model's add up to 1), the weight in the "
        "selection that of its last step; folds: in how many the feature was selected, too."
    )
    yield Paragraph(f"{whole.name}, all features:")
    yield Table("", _CHOSEN, tuple(_chosen_rows(results, whole, len(whole.features))), labels=2)
    yield Paragraph(f"The {_STRONGEST} strongest of the others:")
    rows = [row for card in others for row in _chosen_rows(results, card, _STRONGEST)]
    yield Table("", _CHOSEN, tuple(rows), labels=2)


_CHOSEN = ("model", "feature", "weight in the trees", "weight in the selection", "folds")


def _chosen_rows(results: Results, card: ModelCard, count: int) -> list[tuple[str, ...]]:
    evidence = _evidence(results, card)
    selection = {feature.name: feature for feature in evidence.features}
    strongest = sorted(card.features, key=lambda feature: -feature.weight)[:count]
    return [
        (
            card.name,
            f"`{feature.name.replace('|', ' ')}`",
            f"{feature.weight:.3f}",
            f"{selection[feature.name].weight:+.3f}",
            f"{selection[feature.name].folds} of {results.folds}",
        )
        for feature in strongest
    ]


def _evidence(results: Results, card: ModelCard) -> ModelEvidence:
    return next(it for key, it in results.study.items() if (key.name, key.classifier) == (card.name, MAIN))


def _not_reached(results: Results) -> Iterator[str]:
    tests = results.against_oracle()
    if far := [key for key in tests if key.resolution in SHIPPED and tests[key].difference > GOAL]:
        yield f"Within {GOAL} of the oracle with a scanner left out: {_goal({key: tests[key] for key in far})}."
    blind = [key for key in results.study if results.area(key).low <= 0.5]
    if blind:
        yield f"No discrimination is shown (interval holds 0.5 or lies below): {_named(blind)}."
    lost = [key for key in results.study if results.area_across_scanners(key).low <= 0.5 < results.area(key).low]
    if lost:
        yield f"Discrimination is not shown on a scanner left out: {_named(lost)}."
    gains = {label: results.compare(label, Resolution.SUPER, Resolution.NORMAL) for label in INPUTS}
    if unshown := [label for label, it in gains.items() if it.low <= 0]:
        yield f"Super-resolution is not shown to predict better than normal resolution: {', '.join(unshown)}."
    effects = results.combat()
    if unshown := [f"{it.model} ({_JUDGED[it.judged]})" for it in effects if it.test.low <= 0]:
        yield f"ComBat across scanners is not shown to predict better: {', '.join(unshown)}."
    flat = [key for key, evidence in results.study.items() if evidence.slope == 0]
    if flat:
        yield f"Calibrated to the same probability for every case, because nothing was found: {_named(flat)}."


def _not_done(results: Results) -> Iterator[str]:
    if missing := [name for name in CLASSIFIERS if name not in results.classifiers]:
        yield f"Classifiers not run: {', '.join(missing)}."
    if missing := [str(control) for control in CONTROLS if control not in results.resolutions]:
        yield f"Controls not run or not measured: {', '.join(missing)}."
    if AFTER_COMBAT not in results.classifiers:
        yield "ComBat across scanners was not tried (`--combat`)."
    if results.table.perturbed is None:
        yield "Stability under other masks was not judged: no case was measured again."
    if results.held_out is None:
        yield "No case was held out: the figures are of cross-validation."


def _named(keys: Iterable[ModelKey]) -> str:
    return ", ".join(f"{key.name} ({key.classifier})" for key in keys)


def _area(area: AucInterval | None) -> str:
    return "" if area is None else f"{area.auc:.3f} ({area.low:.3f}-{area.high:.3f})"


def _signed(test: DeLongTest) -> str:
    return f"{test.difference:+.3f} ({test.low:+.3f} to {test.high:+.3f})"
