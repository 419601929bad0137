"""Differences between plans for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from node.operations.replay import Replayed


def as_text(replayed: list[Replayed]) -> RenderableType:
    """The studies that would change, and how many were looked at."""
    parts: list[RenderableType] = []
    changed = [study for study in replayed if study.differences]
    for study in changed:
        parts.append(Text(f"{study.study_instance_uid}  revision {study.revision}", style="bold"))
        parts += [Padding(Text(line), (0, 0, 0, 2), expand=False) for line in study.differences]
    parts.append(Text(f"{len(changed)} of {len(replayed)} studies would change"))
    return Group(*parts)
