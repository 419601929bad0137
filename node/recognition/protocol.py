"""The acquisition parameters of a stack compared with their ranges in the training of models."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict

from models.sequence import Sequence
from node.codes import Code
from node.recognition.header.facts import Fault
from node.recognition.record import Stack, StudyPlan

_WORDS = {
    "tr_ms": ("repetition time", "ms"),
    "te_ms": ("echo time", "ms"),
    "flip_deg": ("flip angle", "degrees"),
    "slice_thickness_mm": ("slice thickness", "mm"),
    "pixel_spacing_mm": ("acquired pixel spacing", "mm"),
    "field_strength_t": ("field strength", "T"),
}

_TRAINED_ON = ", trained on "
_TOLERANCE = 0.01

#: The lowest and highest value of each parameter in a model's training, by role (T2WI, DWI, PVP).
TrainedProtocol = Mapping[Sequence, Mapping[str, tuple[float, float]]]


def far_outside(stack: Stack, trained: SequenceOf[TrainedProtocol], factor: float) -> Fault | None:
    """E-PROTOCOL when a parameter lies beyond a range by more than `factor`: no model can be expected to hold there."""
    for name, value, low, high in _outside(stack, trained):
        if not _within(value, low / factor, high * factor):
            return Fault(Code.PROTOCOL, f"{_sentence(name, value, low, high)}; far outside what the models have seen")
    return None


def warnings(plan: StudyPlan, trained: SequenceOf[TrainedProtocol]) -> tuple[str, ...]:
    """One line for each parameter of a chosen stack outside the range that all models were trained on."""
    return tuple(
        f"{stack.role}: {_sentence(name, value, low, high)}"
        for stack in plan.stacks
        for name, value, low, high in _outside(stack, trained)
    )


def _outside(stack: Stack, trained: SequenceOf[TrainedProtocol]) -> list[tuple[str, float, float, float]]:
    """Parameter, value and the range common to all models, where the value lies outside; what is not stated is not
    compared.

    The phantom reconstructs no more pixels than it acquires along the finer axis, so that the pixel spacing of a
    training is what was acquired there, too. Where a header does not say what was acquired, it was no finer than the
    pixels of the image: coarse pixels lie outside, fine ones tell nothing.
    """
    found = []
    for name, value in asdict(stack.acquisition).items():
        ranges = [protocol[stack.role][name] for protocol in trained if name in protocol.get(stack.role, ())]
        if not ranges:
            continue
        low, high = max(low for low, _ in ranges), min(high for _, high in ranges)
        if value is None and name == "pixel_spacing_mm":
            value = max(low, *stack.pixel_spacing)
        if value is not None and not _within(value, low, high):
            found.append((name, value, low, high))
    return found


def _within(value: float, low: float, high: float) -> bool:
    return low * (1 - _TOLERANCE) <= value <= high * (1 + _TOLERANCE)


def is_outside(warning: str) -> bool:
    """Whether a warning of a record is one of `warnings`."""
    return _TRAINED_ON in warning


def _sentence(name: str, value: float, low: float, high: float) -> str:
    words, unit = _WORDS[name]
    span = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return f"{words} {value:.4g} {unit}{_TRAINED_ON}{span} {unit}"
