"""Doubts, which lower the confidence in a verdict: facts not stated, told by a name only, or contradicted by one."""

from __future__ import annotations

from dataclasses import dataclass

from node.recognition.header.facts import FrameFacts
from node.recognition.header.kinds import DESCRIPTION
from node.recognition.header.naming import listed
from node.recognition.header.words import Words
from node.recognition.rules.findings import Confidence, Finding
from node.recognition.rules.table import Classification
from node.recognition.rules.volume_facts import names
from node.recognition.volumes.stacks import Volume

# Words that speak against a finding; the text never wins, but somebody should look.
_AGAINST: dict[Finding, tuple[str, ...]] = {
    Finding.T2_TSE: ("t1", "diffusion", "adc", "localizer", "subtraction"),
    Finding.DWI: ("t1", "adc", "localizer"),
    Finding.ADC: ("t1", "exponential"),
    Finding.T1_DYNAMIC: ("t2", "diffusion", "localizer", "subtraction"),
}
_PLANES = ("axial", "sagittal", "coronal")
_WEAK_B_VALUES = frozenset({"sequence name"})


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that lowers the confidence; a `contradiction` lowers it most."""

    reason: str
    contradiction: bool = False


def doubts(volume: Volume, classification: Classification, vocabulary: Words) -> tuple[Doubt, ...]:
    """The doubts about the finding of a volume."""
    frame = volume.first
    if classification.finding is Finding.DAMAGED:
        return (Doubt(f"{listed(frame.header.missing)} missing: what it is cannot be said", contradiction=True),)
    if classification.finding is Finding.NOT_MR:
        # What MR images are doubted for says nothing of other objects.
        return ()
    found = [Doubt(f"{entry.fact} is not stated") for entry in classification.evidence if entry.doubtful]
    if classification.finding is Finding.UNKNOWN:
        found.append(Doubt("no rule applies", contradiction=True))
    if frame.kind_source == DESCRIPTION:
        found.append(Doubt(f"only the name of the series says that it is: {frame.kind}"))
    if classification.finding is Finding.DWI and _only_named(volume):
        found.append(Doubt("the b-value stands in the sequence name only"))
    if not frame.header.private_elements:
        found.append(Doubt(_without_private_elements(frame)))
    if frame.placement and not frame.placement.frame_of_reference_uid:
        found.append(Doubt("no Frame of Reference UID is stated"))
    found += [Doubt(fault.sentence) for fault in frame.faults]
    found += _contradictions(volume, classification.finding, vocabulary)
    return tuple(found)


def confidence(found: tuple[Doubt, ...]) -> Confidence:
    """High without any doubt, medium with one, low with more or a contradiction."""
    if not found:
        return Confidence.HIGH
    if len(found) > 1 or any(doubt.contradiction for doubt in found):
        return Confidence.LOW
    return Confidence.MEDIUM


def _without_private_elements(frame: FrameFacts) -> str:
    if frame.header.private_orphans:
        return (
            f"private elements are there without the private creators of {frame.header.vendor}, so that it is not "
            f"known what they are"
        )
    return f"the private elements of {frame.header.vendor} were removed"


def _only_named(volume: Volume) -> bool:
    b_values = volume.first.diffusion.b_values
    return bool(b_values) and b_values[0].source in _WEAK_B_VALUES


def _contradictions(volume: Volume, finding: Finding, vocabulary: Words) -> list[Doubt]:
    text = names(volume.first)
    against = list(vocabulary.told(text, _AGAINST.get(finding, ())))
    planes = vocabulary.told(text, _PLANES) if finding in _AGAINST else ()
    if planes and volume.plane in _PLANES and volume.plane not in planes:
        against += planes
    return [Doubt(f"its name says {meaning.replace('_', ' ')}", contradiction=True) for meaning in against]
