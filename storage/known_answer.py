"""Studies of the known-answer check: no patient's, under a root of UIDs below which nothing else is ever made."""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement

UID_ROOT = "1.2.826.0.1.3680043.10.1599.20."
"""The other UIDs under 1.2.826.0.1.3680043.10.1599. are digests, of many more digits than two."""
AE_TITLE = "KNOWN_ANSWER"
"""What the check calls itself when it stores its study."""
DESTINATION = "known-answer"
"""The name under which its results are handed to delivery; no remote of the settings may have it."""


def is_of_check(study_instance_uid: str) -> bool:
    """Whether a study is one of the check."""
    return study_instance_uid.startswith(UID_ROOT)


def of_check(study_instance_uid: Column[str]) -> ColumnElement[bool]:
    """The same as a condition on a column."""
    return study_instance_uid.like(f"{UID_ROOT}%")
