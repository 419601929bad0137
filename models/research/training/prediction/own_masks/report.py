"""The written comparison of true and found masks, in Markdown: every figure from the subset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as SequenceOf
from math import isfinite

import numpy as np

from models.manifest import Manifest
from models.prediction.predictor import Predictor
from models.research.documents.blocks import Block, Bullets, Code, Document, Heading, Paragraph, Table
from models.research.documents.markdown import markdown
from models.research.evaluation.discrimination import AucInterval, DeLongTest
from models.research.statistics.estimates import Estimate
from models.research.training.prediction.own_masks.cases import OwnMaskCase
from models.research.training.prediction.own_masks.figures import (
    Verdict,
    area,
    area_of_all,
    compared_cases,
    conclusion,
    concordance,
    difference,
    median_icc,
    same_side,
    super_minus_normal,
    verdict,
    without_prediction,
)
from models.research.training.prediction.own_masks.subset import Masks, Subset
from models.sequence import ANALYSED

#: What an agreement compares: masks and noise together, and each of them alone.
_COMPARED = ((Masks.NODE, Masks.TRUE), (Masks.NODE, Masks.SAME_IMAGES), (Masks.SAME_IMAGES, Masks.TRUE))


def report(subset: Subset, cases: SequenceOf[OwnMaskCase], predictor: Predictor, command: str) -> str:
    """The report of a comparison in Markdown; the same subset gives the same text."""
    found = verdict(subset)
    blocks = [
        Code(command),
        Paragraph(_cases(subset, cases, predictor.manifest)),
        Paragraph(_conclusion(found, len(cases)), important=True),
        *_METHOD,
        Heading("AUC under the true and the node's masks"),
        *_areas(subset),
        Heading("Each resolution with its own mask"),
        *_resolutions(subset),
        Heading("Agreement"),
        *_agreement(subset),
        Heading("Dice by scanner"),
        *_dice(cases),
        Heading("Not shown"),
        Bullets(tuple(_not_shown(subset, found))),
    ]
    title = f"Prediction under the node's own masks: {predictor.catalogue.target.name}"
    return markdown(Document(title, "Written by", tuple(blocks)))


def _cases(subset: Subset, cases: SequenceOf[OwnMaskCase], manifest: Manifest) -> str:
    used = ", ".join(
        f"{made['name']} {made['version']}"
        for made in (cases[0].made_with["super_resolution"], cases[0].made_with["segmentation"])
    )
    return (
        f"{len(cases)} simulated patients on {len(set(subset.scanners.tolist()))} simulated scanners, seeds "
        f"{min(case.seed for case in cases)} to {max(case.seed for case in cases)}, {int(subset.labels.sum())} "
        f"positive. {manifest.name} {manifest.version} is not fitted on any of them; its models were fitted on true "
        f"masks. Masks found by {used}."
    )


_METHOD = (
    Heading("Method"),
    Paragraph(
        "Whole fields of view are simulated and super-resolved, and the tumour is found, as the node does it. The "
        "models of the bundle are applied as they are to features of the same patients under"
    ),
    Bullets(
        (
            "the true masks: those of the training's cohort, images of the tumour and its surroundings;",
            "the node's masks: one a sequence, found on the super-resolved images and brought to each grid, so that "
            "resolutions differ by the image alone;",
            "each resolution's own mask: found on the acquired images for normal, on the super-resolved images for "
            "super;",
            "the true masks on the same images: what the masks alone change, without the other noise of the whole "
            "field of view.",
        )
    ),
    Paragraph(
        "A sequence without a found tumour has no features, and a model that needs them no prediction. The conclusion "
        "is the same when no model is shown to have another AUC (DeLong, paired; 5 % for all models together, by "
        "Bonferroni), and when no comparison of the resolutions changes between higher, lower and no difference shown "
        "(5 % for all inputs together). Printed intervals and p are those of the single comparison."
    ),
)


def _conclusion(found: Verdict, cases: int) -> str:
    if not found.judged:
        return "Not judged: an AUC needs two cases of each class with a prediction, which some models do not have."
    if found.same:
        return (
            "The same conclusion: no model is shown to have another AUC under the node's own masks than under the true "
            "ones, and super-resolution compares with normal resolution as under the true masks, "
            "for every input, with one mask and with a mask for each resolution. That is no proof of equality: a "
            f"difference in AUC of up to {found.reach:.3f} is not excluded on these {cases} cases."
        )
    reasons = []
    if found.differing:
        reasons.append(f"the AUC is another under the node's masks: {_list(found.differing)}")
    if found.flipped:
        flipped = [f"{label} under {masks} masks" for label, masks in found.flipped]
        reasons.append(f"super-resolution compares otherwise with normal resolution: {_list(flipped)}")
    return f"Not the same conclusion: {'; '.join(reasons)}."


def _areas(subset: Subset) -> Iterator[Block]:
    """A row a model."""
    header = ["model", "true masks", "the node's masks", "node's - true", "p", "masks alone"]
    rows = []
    for card in subset.cards:
        test = difference(subset, card.name, Masks.NODE, Masks.TRUE)
        alone = difference(subset, card.name, Masks.NODE, Masks.SAME_IMAGES)
        areas = [_area(area(subset, masks, card.name)) for masks in (Masks.TRUE, Masks.NODE)]
        missing = without_prediction(subset, Masks.NODE, card.name)
        filled = _area(area_of_all(subset, Masks.NODE, card.name))
        rows.append((card.name, *areas, _signed(test), _p(test), _signed(alone), str(missing), filled))
    yield Table("", (*header, "without prediction", "these as the share"), tuple(rows))
    yield Paragraph(
        "AUC (95 %). Node's - true: on the cases with both predictions. Masks alone: the same difference on the "
        f"same images. The last column has all cases: those without a prediction count as {subset.prevalence:.3f}, the "
        "share of the positive class that the models were fitted on."
    )


def _resolutions(subset: Subset) -> Iterator[Block]:
    """Three rows an input: true masks, the node's one, each resolution's own."""
    rows = []
    for label, (normal, refined) in subset.inputs.items():
        true = super_minus_normal(subset, label, Masks.TRUE)
        count = str(int(compared_cases(subset, label).sum()))
        for masks in (Masks.TRUE, Masks.NODE, Masks.EACH):
            test = super_minus_normal(subset, label, masks)
            chosen = compared_cases(subset, label)
            areas = [_area(area(subset, masks, card.name, chosen)) for card in (normal, refined)]
            stays = "" if masks is Masks.TRUE or not (true and test) else _stays(true, test, len(subset.inputs))
            rows.append((label, str(masks), count, *areas, _signed(test), _p(test), stays))
    header = ("input", "masks", "cases", "normal", "super", "super - normal", "p", "as under the true masks")
    yield Table("", header, tuple(rows), labels=2)
    yield Paragraph(
        "AUC (95 %), DeLong's test for paired areas; the cases are those with all predictions of the input, the same "
        "under all masks. At super resolution the node's mask and its own are one."
    )


def _stays(true: DeLongTest, test: DeLongTest, comparisons: int) -> str:
    before, now = conclusion(true, comparisons), conclusion(test, comparisons)
    return f"yes: {now}" if before == now else f"no: {now} instead of {before}"


def _agreement(subset: Subset) -> Iterator[Block]:
    """CCC of probabilities and median ICC of features; a row a model."""
    header = ["model", *(f"{what}, {of}" for of in ("both", "masks", "noise") for what in ("CCC", "ICC"))]
    rows = []
    for card in subset.cards:
        row = [card.name]
        for first, second in _COMPARED:
            row.append(_concordance(concordance(subset, card.name, first, second)))
            row.append(_number(median_icc(subset, card, first, second)))
        same, of = same_side(subset, card, Masks.NODE, Masks.TRUE)
        rows.append((*row, f"{same} of {of}"))
    yield Table("", (*header, "same side of the cut-off"), tuple(rows))
    yield Paragraph(
        "Lin's CCC of the probabilities (95 %) and median ICC(2,1) of the model's features. Both: the node's against "
        "the true masks of the cohort. Masks: on the same images. Noise: the true masks on both images. Cut-off: the "
        "node's against the true masks."
    )


def _dice(cases: SequenceOf[OwnMaskCase]) -> Iterator[Block]:
    """Mean and lowest Dice of the tumours found, and how many were not; a row a scanner, super before normal."""
    columns = [(str(sequence), resolution) for resolution in ("super", "normal") for sequence in ANALYSED]
    groups = {scanner: [case for case in cases if case.scanner == scanner] for scanner in _scanners(cases)}
    rows = [
        (name, str(len(chosen)), *(_found(chosen, *column) for column in columns))
        for name, chosen in {**groups, "all": list(cases)}.items()
    ]
    header = ("scanner", "cases", *(f"{sequence}, {resolution}" for sequence, resolution in columns))
    yield Table("", header, tuple(rows))
    yield Paragraph(
        "Mean (lowest) Dice of found and true mask, on the grid of the images that the mask was found on: "
        "super-resolved (the node's) or acquired. A tumour that was not found is counted, not averaged."
    )


def _found(cases: SequenceOf[OwnMaskCase], sequence: str, resolution: str) -> str:
    dice = [case.dice[sequence][resolution] for case in cases if resolution in case.dice.get(sequence, {})]
    missed = len(cases) - len(dice)
    found = f"{np.mean(dice):.3f} ({min(dice):.3f})" if dice else ""
    return ", ".join(part for part in (found, f"{missed} not found" if missed else "") if part)


def _not_shown(subset: Subset, found: Verdict) -> Iterator[str]:
    if isfinite(found.reach):
        yield f"That the areas are equal: the paired intervals of the models reach as far as {found.reach:.3f} from 0."
    areas = {card.name: area(subset, Masks.TRUE, card.name) for card in subset.cards}
    if blind := [name for name, it in areas.items() if it and it.low <= 0.5]:
        yield f"Discrimination on these cases under the true masks themselves (interval holds 0.5): {_list(blind)}."
    if lacking := [f"{name} ({count})" for name, count in _unanswered(subset)]:
        yield f"What the models would say of cases without a found tumour: {_list(lacking)}."
    yield "Models fitted on the node's own masks: those of the bundle know true masks alone."
    yield "Cubic interpolation and voxels as acquired under found masks: the bundle has no models of them."
    yield "Real images: patients, tumours and labels are simulated."


def _unanswered(subset: Subset) -> Iterator[tuple[str, int]]:
    for card in subset.cards:
        if count := without_prediction(subset, Masks.NODE, card.name):
            yield card.name, count


def _scanners(cases: Iterable[OwnMaskCase]) -> list[str]:
    return sorted({case.scanner for case in cases})


def _area(found: AucInterval | None) -> str:
    return "" if found is None else f"{found.auc:.3f} ({found.low:.3f}-{found.high:.3f})"


def _signed(test: DeLongTest | None) -> str:
    return "" if test is None else f"{test.difference:+.3f} ({test.low:+.3f} to {test.high:+.3f})"


def _p(test: DeLongTest | None) -> str:
    return "" if test is None else f"{test.p:.3f}"


def _concordance(found: Estimate | None) -> str:
    return "" if found is None else f"{found.value:.3f} ({found.low:.3f}-{found.high:.3f})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
