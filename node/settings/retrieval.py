"""Retrieval: what is fetched from a remote by itself, and when."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from node.settings.destinations import Hours
from node.settings.values import AETitle, Pattern, Seconds, Section


class Method(StrEnum):
    """How objects come: sent to the listener, or on the association that asks for them."""

    MOVE = "move"
    GET = "get"


class RetrievalSettings(Section):
    """Studies of a remote that are fetched.

    Attributes:
        name: what log and status call it.
        remote: name of a remote with host and port.
        method: how objects come.
        destination: AE title by which the remote knows this node's listener; empty: that of the listener.
        modality: of Modalities in Study; empty: any.
        description: a regular expression that Study Description holds, whatever the case; empty: any.
        days: studies of today and of the days before, so many in all.
        every_s: how often it is asked for new ones, in s.
        hours: of the day in which it is fetched, in the site's time zone; empty: all.
        maximum_studies: of one look; of more, nothing is fetched.
        maximum_images: of one look; of more, nothing is fetched.
        maximum_attempts: of one study; then it waits for a person.
        first_retry_s: wait after the first failure, in s; it doubles with each …
        longest_retry_s: … up to this, in s.
        answer_timeout_s: between two answers of a retrieval, in s.
    """

    name: str = Field(min_length=1, max_length=64)
    remote: str
    method: Method = Method.MOVE
    destination: AETitle | None = None
    modality: str = "MR"
    description: Pattern = ""
    days: int = Field(default=2, ge=1, le=3650)
    every_s: Seconds = 900
    hours: Hours = ""
    maximum_studies: int = Field(default=50, ge=1)
    maximum_images: int = Field(default=50_000, ge=1)
    maximum_attempts: int = Field(default=8, ge=1)
    first_retry_s: Seconds = 60
    longest_retry_s: Seconds = 3600
    answer_timeout_s: Seconds = 300
