"""The image contrasts of a study, under the names that plans, bundles and tables use."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator


class Sequence(StrEnum):
    """An image contrast: what a stack of a study is used as, what a model takes."""

    T2WI = "T2WI"
    DWI = "DWI"
    ADC = "ADC"
    PVP = "PVP"


#: What models take, in the order of channels and columns. An ADC map is recognised and assembled, no model takes it.
ANALYSED = (Sequence.T2WI, Sequence.DWI, Sequence.PVP)


def analysed(name: str) -> Sequence:
    """The sequence of a name that models take.

    Raises:
        ValueError: there is none of this name, or no model takes it; names those that there are.
    """
    if name not in ANALYSED:
        raise ValueError(f"{name!r} is none of {', '.join(ANALYSED)}")
    return Sequence(name)


#: A field of a pydantic model that refuses what no model takes.
Analysed = Annotated[Sequence, BeforeValidator(analysed)]
