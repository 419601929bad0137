"""Options, terminal and configuration of all commands, and an answer as text or as JSON."""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from node.settings import Settings, load_settings
from storage.privacy import keep_private
from storage.records import StudyState

Answer = TypeVar("Answer")
Item = TypeVar("Item")
_REFRESH_S = 0.1

CONFIG = Path("config.toml")
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="Configuration file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document instead of text (docs/json-schema.json).")]
#: Which studies are meant, for `StudySearch`.
PatientFilter = Annotated[str, typer.Option(help="Part of a name, in any script, or of a Patient ID.")]
AccessionFilter = Annotated[str, typer.Option(help="Part of an accession number.")]
DateFromFilter = Annotated[str, typer.Option(help="Studies of that day (YYYYMMDD) and later.")]
DateToFilter = Annotated[str, typer.Option(help="Studies of that day (YYYYMMDD) and earlier.")]
ScannerFilter = Annotated[str, typer.Option(help="Part of manufacturer, model or station.")]
StateFilter = Annotated[list[StudyState] | None, typer.Option(help="Only studies in this state; repeatable.")]
out = Console()


def node_settings(config: Path) -> Settings:
    """The configuration of a node, for a command that opens its root: what it writes there is private."""
    keep_private()
    return load_settings(config)


def this_user() -> str:
    """Who gives the command, for the record; by number where this machine has no name for that user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def watched(description: str) -> Callable[[Iterable[Item], int], Iterator[Item]]:
    """A progress bar on a terminal's error output; it has no thread of its own, so that processes can be forked."""
    from rich.progress import Progress

    console = Console(stderr=True)

    def watch(items: Iterable[Item], total: int) -> Iterator[Item]:
        with Progress(console=console, transient=True, auto_refresh=False, disable=not console.is_terminal) as bar:
            task, shown = bar.add_task(description, total=total), 0.0
            for number, item in enumerate(items, start=1):
                yield item
                if time.monotonic() > shown + _REFRESH_S:
                    bar.update(task, completed=number, refresh=True)
                    shown = time.monotonic()

    return watch


def show(answer: Answer, as_json: bool, view: Callable[[Answer], RenderableType]) -> None:
    """Print an answer: its JSON document, else what `view` makes of it."""
    if as_json:
        from node.operations.answers import as_json as document

        sys.stdout.write(document(answer) + "\n")
    else:
        text = view(answer)
        out.print(text, highlight=False, soft_wrap=isinstance(text, str | Text))
