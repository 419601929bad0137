"""The sex of a simulated patient."""

from __future__ import annotations

from enum import StrEnum

from models.research.phantom.streams import stream

SHARE_OF_WOMEN = 0.395
"""Of 732,210 new rectal cancers in 2020, 288,852 were in women (Sung et al., CA Cancer J Clin 2021;71:209-249)."""


class Sex(StrEnum):
    """Values as DICOM's Patient's Sex has them (0010,0040)."""

    MALE = "M"
    FEMALE = "F"


def sex_of(seed: int) -> Sex:
    """The sex of patient `seed`, from a random stream of its own."""
    return Sex.FEMALE if stream(seed, "sex").random() < SHARE_OF_WOMEN else Sex.MALE
