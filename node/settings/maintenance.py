"""Maintenance: how files and rows are kept together, and how stored objects are read again."""

from __future__ import annotations

from pydantic import Field

from node.settings.values import Section


class MaintenanceSettings(Section):
    """What a running node looks through by itself.

    Attributes:
        reconcile_hours: between two comparisons of all files with all rows, in h; one begins at each start as well.
        files_per_s: files that are compared in a second at the most.
        orphan_grace_hours: a file without a row that is older is taken in, where it was received, or removed, in h.
        scrub_days: in which every stored object is read and compared with its digest, in days; 0: never.
        scrub_mb_s: what that reads in a second at the most, in MB.
        echo_minutes: between two questions to each remote whether it answers, in minutes; 0: none by itself.
    """

    reconcile_hours: float = Field(default=24, gt=0)
    files_per_s: int = Field(default=2000, ge=1)
    orphan_grace_hours: float = Field(default=2, ge=0)
    scrub_days: float = Field(default=30, ge=0)
    scrub_mb_s: float = Field(default=20, gt=0)
    echo_minutes: float = Field(default=60, ge=0)
