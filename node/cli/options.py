"""What the commands share: options, the terminal, the configuration, and an answer as text or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console, RenderableType

from node.settings import Settings, load_settings
from storage.privacy import keep_private

Answer = TypeVar("Answer")

CONFIG = Path("config.toml")
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="Configuration file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document instead of text (docs/json-schema.json).")]
out = Console()


def node_settings(config: Path) -> Settings:
    """The configuration of a node, for a command that opens its root: what it writes there is private."""
    keep_private()
    return load_settings(config)


def show(answer: Answer, as_json: bool, view: Callable[[Answer], RenderableType]) -> None:
    """Print an answer: its JSON document, else what `view` makes of it."""
    if as_json:
        from node.operations.answers import as_json as document

        sys.stdout.write(document(answer) + "\n")
    else:
        text = view(answer)
        out.print(text, highlight=False, soft_wrap=isinstance(text, str))
