"""What a code is: its text, what it means, what to do, and what follows from it."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The consequence of a code."""

    REFUSAL = "refusal"
    WARNING = "warning"
    SET_ASIDE = "set aside"
    ALERT = "alert"


class Definition(StrEnum):
    """A family of codes; the value of each stands in records, reports and logs and never changes."""

    meaning: str
    advice: str
    kinds: tuple[Kind, ...]

    def __new__(cls, value: str, meaning: str, advice: str, *kinds: Kind) -> Definition:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning, member.advice, member.kinds = meaning, advice, kinds or (Kind.REFUSAL,)
        return member
