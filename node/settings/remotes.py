"""Remotes: the systems that may connect, and those that results go to."""

from __future__ import annotations

from pydantic import Field

from node.settings.values import AETitle, Port, Seconds, Section


class PeerSettings(Section):
    """A system that may connect: its AE title and, where given, the address that it must come from."""

    ae_title: AETitle
    host: str = ""


class DestinationSettings(Section):
    """A system that results are sent to, and how long the node goes on trying."""

    name: str = Field(min_length=1)
    ae_title: AETitle
    host: str
    port: Port
    calling_ae_title: AETitle = "RECTALNODE"
    maximum_attempts: int = Field(default=200, ge=1)
    first_retry_s: Seconds = 10
    longest_retry_s: Seconds = 3600
    timeout_s: Seconds = 30
