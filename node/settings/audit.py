"""The section `[audit]`: where events of the audit are written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from node.settings.values import Credentials, File, Fingerprint, Port, Seconds, Section


class SyslogSettings(Section):
    """A collector of audit messages (PS3.15 A.6, A.7).

    Attributes:
        host: its address or name.
        port: where it listens; 6514 by custom, 514 for UDP.
        transport: TLS with certificates on both sides (RFC 5425), or datagrams that anybody can read, and that can get
            lost (RFC 5426).
        certificate_sha256: fingerprints of its certificate; without, it must be for `certificate_name`.
        certificate_name: the DNS name or address that its certificate is for; empty: `host`.
        credentials: what this node shows to it, and believes of it, where that is not of `[tls]`.
        timeout_s: for connecting, and for each piece that is sent, in s.
    """

    host: str = Field(min_length=1)
    port: Port = 6514
    transport: Literal["tls", "udp"] = "tls"
    certificate_sha256: tuple[Fingerprint, ...] = ()
    certificate_name: str = ""
    credentials: Credentials | None = None
    timeout_s: Seconds = Field(default=10, le=3600)


class AuditSettings(Section):
    """Who did what, in the form of PS3.15 A.5.

    Attributes:
        file: whether messages are written to files, whose lines are chained.
        folder: of these; None: `audit` below the root.
        rotate_mb: a file is at most so large, in MB; then another one begins. None is removed.
        site: what messages name as the enterprise site; empty: nothing.
        syslog: a collector that gets them as well.
    """

    file: bool = True
    folder: File = None
    rotate_mb: float = Field(default=100, ge=0.001, le=100_000, allow_inf_nan=False)
    site: str = Field(default="", max_length=64)
    syslog: SyslogSettings | None = None

    def within(self, folder: Path, credentials: Credentials | None) -> AuditSettings:
        """With relative paths taken from a folder; a collector without credentials of its own gets the node's."""
        syslog = self.syslog
        if syslog is not None and syslog.transport == "tls":
            own = syslog.credentials.within(folder) if syslog.credentials else credentials
            syslog = syslog.model_copy(update={"credentials": own})
        return self.model_copy(update={"folder": folder / self.folder if self.folder else None, "syslog": syslog})
