"""A document for Word, as a supplement wants it; the same document gives the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import assert_never

import docx
from docx.document import Document as WordDocument
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt, RGBColor
from docx.styles.style import ParagraphStyle
from docx.table import _Row

from models.research.documents.blocks import Block, Bullets, Code, Document, Gallery, Heading, Paragraph, Picture, Table
from models.research.documents.figures import png

_PAGE_MM = (297, 210)
_MARGIN_MM = 15
_HIGHEST_MM = 150
#: Letters of a table's line; longer text is broken.
_LONGEST_LINE = 70
#: Any date does, as long as it is always the same; zip cannot hold an earlier one.
_DATE = (1980, 1, 1, 0, 0, 0)
_WARN = RGBColor(0x8A, 0x4B, 0x08)


def word(report: Document) -> bytes:
    """The document as .docx, A4 landscape; figures as PNG, because Word shows no SVG in every version."""
    document = docx.Document()
    section = document.sections[0]
    section.orientation = WD_ORIENT.LANDSCAPE
    section.page_width, section.page_height = (Mm(side) for side in _PAGE_MM)
    for side in ("left_margin", "right_margin", "top_margin", "bottom_margin"):
        setattr(section, side, Mm(_MARGIN_MM))
    normal = document.styles["Normal"]
    assert isinstance(normal, ParagraphStyle)
    normal.font.name, normal.font.size = "Arial", Pt(9)
    document.core_properties.title = report.title
    document.core_properties.author = "rectal-node"
    document.add_heading(report.title, level=0)
    document.add_paragraph(report.statement)
    for block in report.numbered():
        _add(document, block)
    stream = io.BytesIO()
    document.save(stream)
    return _undated(stream.getvalue())


def _add(document: WordDocument, block: Block) -> None:
    match block:
        case Heading(text):
            document.add_heading(text, level=1)
        case Paragraph(text, important):
            _add_paragraph(document, text, important)
        case Bullets(items):
            for item in items:
                document.add_paragraph(item, style="List Bullet")
        case Code(text):
            document.add_paragraph().add_run(text).font.name = "Courier New"
        case Picture():
            _add_picture(document, block)
        case Gallery(pictures):
            for picture in pictures:
                _add_picture(document, picture)
        case Table():
            _add_table(document, block)
        case _:
            assert_never(block)


def _add_paragraph(document: WordDocument, text: str, important: bool) -> None:
    run = document.add_paragraph().add_run(text)
    run.bold = important
    if important:
        run.font.color.rgb = _WARN


def _add_picture(document: WordDocument, picture: Picture) -> None:
    width, height = picture.figure.get_size_inches()
    widest = _PAGE_MM[0] - 2 * _MARGIN_MM
    shown = min(widest, _HIGHEST_MM * width / height)
    document.add_picture(io.BytesIO(png(picture.figure)), width=Mm(shown))
    document.paragraphs[-1].paragraph_format.keep_with_next = True
    _caption(document, picture.title, picture.note)


def _add_table(document: WordDocument, table: Table) -> None:
    if table.title:
        _caption(document, table.title, "", keep=True)
    header = [table.header] if any(table.header) else []
    rows = [*header, *(cells for cells, _ in table.shown())]
    grid = document.add_table(rows=len(rows), cols=len(table.header))
    widths = _widths_mm(rows)
    for place, (row, cells) in enumerate(zip(grid.rows, rows, strict=True)):
        is_header = place < len(header)
        for column, (cell, text) in enumerate(zip(row.cells, cells, strict=True)):
            cell.width = Mm(widths[column])
            paragraph = cell.paragraphs[0]
            paragraph.paragraph_format.space_after = Pt(1)
            if column >= table.labels:
                paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
            run = paragraph.add_run(text)
            run.font.size, run.bold = Pt(7), is_header
        if is_header:
            _ruled(row, "top", "bottom")
            row._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
        row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
    _ruled(grid.rows[-1], "bottom")
    _caption(document, "", table.note)


def _widths_mm(rows: Sequence[tuple[str, ...]]) -> list[float]:
    """Width of every column by its longest line, all together within the page."""
    longest = [max(len(line) for cell in column for line in cell.split("\n")) for column in zip(*rows, strict=True)]
    wanted = [3 + 1.35 * min(letters, _LONGEST_LINE) for letters in longest]
    room = _PAGE_MM[0] - 2 * _MARGIN_MM
    return [width * min(1.0, room / sum(wanted)) for width in wanted]


def _caption(document: WordDocument, title: str, note: str, keep: bool = False) -> None:
    paragraph = document.add_paragraph()
    paragraph.paragraph_format.keep_with_next = keep
    if title:
        paragraph.add_run(f"{title}. " if note else title).bold = True
    run = paragraph.add_run(note)
    run.font.size = Pt(8)


def _ruled(row: _Row, *sides: str) -> None:
    """Lines along the row, as in a printed table."""
    for cell in row.cells:
        borders = OxmlElement("w:tcBorders")
        for side in sides:
            border = OxmlElement(f"w:{side}")
            for name, value in (("val", "single"), ("sz", "8"), ("color", "1D2730")):
                border.set(qn(f"w:{name}"), value)
            borders.append(border)
        cell._tc.get_or_add_tcPr().append(borders)


def _undated(content: bytes) -> bytes:
    """The same archive with one date on every member: python-docx writes the time of day."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            member = zipfile.ZipInfo(name, _DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, source.read(name))
    return target.getvalue()
