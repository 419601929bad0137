"""A document as Markdown; figures lie beside it as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from models.research.documents.blocks import Block, Bullets, Code, Document, Gallery, Heading, Paragraph, Picture, Table


def markdown(document: Document) -> str:
    """The text of the document; the same document gives the same text."""
    head = [f"# {document.title}", *([document.statement] if document.statement else [])]
    return "\n\n".join([*head, *(part for block in document.numbered() for part in _parts(block))]) + "\n"


def _parts(block: Block) -> Iterator[str]:
    match block:
        case Heading(text):
            yield f"## {text}"
        case Paragraph(text, important):
            yield f"**{text}**" if important else text
        case Bullets(items):
            yield "\n".join(f"- {item}" for item in items)
        case Code(text):
            yield f"```\n{text}\n```"
        case Table():
            yield from _table(block)
        case Picture():
            yield from _pictures([block])
        case Gallery(pictures):
            yield from _pictures(pictures)
        case _:
            assert_never(block)


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"**{table.title}**"
    rule = ["---"] * table.labels + ["---:"] * (len(table.header) - table.labels)
    rows = ([" ".join(cell.split("\n")) for cell in row] for row in table.rows)
    yield "\n".join(f"| {' | '.join(cells)} |" for cells in (table.header, rule, *rows))
    if table.note:
        yield table.note


def _pictures(pictures: Iterable[Picture]) -> Iterator[str]:
    for picture in pictures:
        yield f"![{picture.title}]({picture.name}.svg)"
        if picture.note:
            yield picture.note
