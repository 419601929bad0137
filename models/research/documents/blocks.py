"""A document as a list of blocks, which every format shows."""

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
    """Plain text; `important` stands in a box. Links and code are marked as in Markdown."""

    text: str
    important: bool = False


@dataclass(frozen=True, slots=True)
class Bullets:
    """Short statements, one a line."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """A command as it is typed."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text; a line break parts a value from its interval.

    Attributes:
        title: above the table; may be empty.
        labels: so many columns on the left are words, the others figures. A label equal to the one above is left out.
        note: what a reader must know to read the cells.
        dimmed: rows that hold this cell stand back.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1
    note: str = ""
    dimmed: str = ""

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
    """A figure and the name of its file; `raster`: an image of voxels rather than lines."""

    title: str
    name: str
    figure: Figure
    note: str = ""
    raster: bool = False


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures side by side; `key` says what the colours in them mean, colour and meaning."""

    pictures: tuple[Picture, ...]
    key: tuple[tuple[str, str], ...] = ()


Block = Heading | Paragraph | Bullets | Code | Table | Picture | Gallery


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report; `statement` says what it is about.

    `supplement`: with a table of contents, and tables and figures numbered as in the supplement of an article.
    """

    title: str
    statement: str
    blocks: tuple[Block, ...]
    supplement: bool = False

    def numbered(self) -> Iterator[Block]:
        """The blocks; in a supplement with "Table S1." and "Figure S1." before the titles."""
        tables = figures = 0
        for block in self.blocks:
            if self.supplement and isinstance(block, Table):
                tables += 1
                yield replace(block, title=f"Table S{tables}. {block.title}")
            elif self.supplement and isinstance(block, Picture):
                figures += 1
                yield replace(block, title=f"Figure S{figures}. {block.title}")
            else:
                yield block
