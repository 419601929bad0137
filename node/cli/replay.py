"""Differences between plans for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from node.operations.replay import Replay


def as_text(replay: Replay) -> RenderableType:
    """The studies that would change, and how many were looked at."""
    parts: list[RenderableType] = []
    changed = [study for study in replay.studies if study.differences]
    for study in changed:
        parts.append(Text(f"{study.study_instance_uid}  revision {study.revision}", style="bold"))
        parts += [Padding(Text(line), (0, 0, 0, 2), expand=False) for line in study.differences]
    parts.append(Text(f"{len(changed)} of {len(replay.studies)} studies would change"))
    return Group(*parts)
