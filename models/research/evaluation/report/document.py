"""The report as a list of blocks, which the HTML page and the Word document both show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text; `important` stands in a box."""

    text: str
    important: bool = False


@dataclass(frozen=True, slots=True)
class Bullets:
    """Short statements, one a line."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text; a line break parts a value from its interval.

    Attributes:
        labels: so many columns on the left are words, the others figures. A label equal to the one above is left out.
        note: what a reader must know to read the cells.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1
    note: str = ""

    def shown(self) -> Iterator[tuple[tuple[str, ...], bool]]:
        """Rows with repeated labels left out, and whether a row begins a new first label."""
        above: tuple[str, ...] = ()
        for row in self.rows:
            same = 0
            while same < self.labels - 1 and row[: same + 1] == above[: same + 1]:
                same += 1
            yield ("",) * same + row[same:], same == 0
            above = row


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure and the name of its file."""

    title: str
    name: str
    figure: Figure
    note: str = ""


Block = Heading | Paragraph | Bullets | Table | Picture


@dataclass(frozen=True, slots=True)
class Document:
    """The whole report; `statement` says what it is about."""

    title: str
    statement: str
    blocks: tuple[Block, ...]

    def numbered(self) -> Iterator[Block]:
        """The blocks with "Table S1." and "Figure S1." before the titles, as a supplement numbers them."""
        tables = figures = 0
        for block in self.blocks:
            if isinstance(block, Table):
                tables += 1
                yield replace(block, title=f"Table S{tables}. {block.title}")
            elif isinstance(block, Picture):
                figures += 1
                yield replace(block, title=f"Figure S{figures}. {block.title}")
            else:
                yield block
