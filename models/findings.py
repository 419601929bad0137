"""From the sequences of one frame of reference to the findings that are reported, and those that are set aside.

What the network outlines is judged component by component: where it lies in the body, whether a sequence shows it when
it is read alone, whether the sequences agree. Serving and training call the same functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import SimpleITK as sitk

from models.plausibility.agreement import agreeing, confirmed
from models.plausibility.body import CONTRASTS, Body, body_of
from models.plausibility.corridor import doubt_of, in_words, is_established, place_of
from models.plausibility.records import APART, UNCONFIRMED, Doubt, Location, SetAside
from models.segmentation.inference import (
    Component,
    Reading,
    Segmenter,
    components,
    inside_of,
    mask_of,
    probability_of,
    read_alone,
    read_together,
)
from models.sequence import Sequence
from models.volume import Float32, volume_ml

Parts = tuple[Component, ...]

#: Sequences that must show a finding at one place.
FEWEST_WITNESSES = 2


@dataclass(frozen=True, slots=True)
class Tumour:
    """The finding reported in one sequence; both masks are empty where nothing is.

    Attributes:
        mask: on the acquired grid.
        mask_super: on the super-resolved grid.
        volume_ml: volume of `mask_super`.
        probability: of what `mask` shows, on its grid (float32, 0 to 1); where it was asked for.
    """

    mask: sitk.Image
    mask_super: sitk.Image
    volume_ml: float
    probability: sitk.Image | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The result of reading one frame of reference; `location` is None where nothing is reported."""

    tumours: dict[Sequence, Tumour]
    set_aside: tuple[SetAside, ...]
    location: Location | None


def find_tumours(
    acquired: Mapping[Sequence, sitk.Image],
    super_resolved: Mapping[Sequence, sitk.Image],
    segmenter: Segmenter,
    probabilities: bool = False,
) -> Found:
    """Read the sequences of one frame of reference once, super-resolved, and bring each finding to both grids.

    With `probabilities`, how probable each finding is comes to the acquired grid, too.
    """
    reading = read_together(super_resolved, segmenter)
    return reviewed(reading, acquired, super_resolved, segmenter, probabilities)


def reviewed(
    reading: Reading,
    acquired: Mapping[Sequence, sitk.Image],
    super_resolved: Mapping[Sequence, sitk.Image],
    segmenter: Segmenter,
    probabilities: bool = False,
) -> Found:
    """The second half of `find_tumours`: what of a reading is reported, on both grids."""
    body = body_of([image for sequence, image in acquired.items() if sequence in CONTRASTS])
    review = _Review(reading, body, segmenter)
    kept = review.agreed({sequence: review.plausible(sequence) for sequence in reading.probabilities})
    tumours = {}
    for sequence, parts in kept.items():
        on_super, on_acquired = (
            mask_of(parts, reading.probabilities[sequence], images[sequence], segmenter)
            for images in (super_resolved, acquired)
        )
        probable = probability_of(parts, reading.probabilities[sequence], acquired[sequence]) if probabilities else None
        tumours[sequence] = Tumour(on_acquired, on_super, volume_ml(on_super), probable)
    return Found(tumours, tuple(review.set_aside), review.location(kept))


class _Review:
    """One reading, judged; `set_aside` collects what is not reported."""

    def __init__(self, reading: Reading, body: Body | None, segmenter: Segmenter) -> None:
        self._reading, self._body, self._segmenter = reading, body, segmenter
        self._alone: dict[Sequence, Float32] = {}
        self.set_aside: list[SetAside] = []

    def plausible(self, sequence: Sequence) -> Parts:
        """The components of a sequence that are reported, by place and by what single sequences show.

        Where the bundle reports one component it is the largest that stands; smaller ones are not looked at.
        """
        stand = []
        for part in components(self._reading.probabilities[sequence], self._segmenter):
            doubt = self._doubt(part)
            if doubt is not None:
                self._put_aside(sequence, part, doubt)
                continue
            stand.append(part)
            if self._segmenter.settings.largest_component:
                break
        return tuple(stand)

    def agreed(self, found: Mapping[Sequence, Parts]) -> dict[Sequence, Parts]:
        """The components of the sequences that agree with each other; nothing of the others."""
        with_finding = {sequence.value: inside_of(parts) for sequence, parts in found.items() if parts}
        agreeing_ones = agreeing(with_finding, self._reading.grid)
        places = "; ".join(
            f"{sequence} shows it {self._place(part)}" for sequence, parts in found.items() for part in parts[:1]
        )
        for sequence, parts in found.items():
            for part in parts if sequence not in agreeing_ones else ():
                self._put_aside(sequence, part, Doubt(APART, f"the sequences do not agree: {places}"))
        return {sequence: parts if sequence in agreeing_ones else () for sequence, parts in found.items()}

    def location(self, kept: Mapping[Sequence, Parts]) -> Location | None:
        """Whether what is kept was established to lie where a rectum can be."""
        names = tuple(sequence.value for sequence, parts in kept.items() if parts)
        if not names:
            return None
        if len(names) < FEWEST_WITNESSES:
            return Location(names, False, "one sequence alone shows the finding")
        parts = [part for all_parts in kept.values() for part in all_parts]
        if self._body is None or not all(is_established(place_of(part.points, self._body)) for part in parts):
            return Location(names, False, "the fields of view do not tell where in the body it lies")
        return Location(names, True, "the sequences show the finding at one place in the corridor of the rectum")

    def _doubt(self, part: Component) -> Doubt | None:
        doubt = None if self._body is None else doubt_of(place_of(part.points, self._body))
        names = list(self._reading.probabilities)
        if doubt is not None or len(names) < FEWEST_WITNESSES:
            return doubt
        # The portal-venous phase, which is last, shows most by itself.
        if any(self._is_shown(part, name) for name in reversed(names)):
            return None
        return Doubt(UNCONFIRMED, f"none of {', '.join(names)} shows it when it is read without the others")

    def _is_shown(self, part: Component, sequence: Sequence) -> bool:
        """Whether a sequence shows a component when the network sees that sequence alone."""
        if sequence not in self._alone:
            self._alone[sequence] = read_alone(self._reading, sequence, self._segmenter)
        return confirmed(part.inside, self._alone[sequence], self._segmenter.settings.threshold)

    def _place(self, part: Component) -> str:
        if self._body is None:
            return "at a place that no image relates to the surface of the body"
        return in_words(place_of(part.points, self._body))

    def _put_aside(self, sequence: Sequence, part: Component, doubt: Doubt) -> None:
        x, y, z = part.points.mean(axis=0).round(1).tolist()
        self.set_aside.append(
            SetAside(sequence.value, part.volume_ml, self._place(part), doubt.code, doubt.reason, (x, y, z))
        )
