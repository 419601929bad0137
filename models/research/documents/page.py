"""A document as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from typing import assert_never

from models.research.documents.blocks import Block, Bullets, Code, Document, Gallery, Heading, Paragraph, Picture, Table
from models.research.documents.figures import png, svg

_STYLE = """
:root { color-scheme: light; --ink: #1d2730; --soft: #66727d; --line: #dfe4e8; --warn: #8a4b08; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2.5rem 1.5rem 4rem; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.2rem; margin: 3rem 0 .8rem; padding-top: .8rem; border-top: 2px solid var(--ink); }
p, ul { max-width: 62rem; } p.statement { margin: .3rem 0 0; color: var(--soft); }
p.important { border-left: 4px solid var(--warn); background: #fdf6ec; color: var(--warn); padding: .6rem 1rem;
  font-weight: 600; }
nav { margin: 1rem 0 0; font-size: .9rem; } nav a { color: #2b5f9e; margin-right: 1.1rem; white-space: nowrap; }
ul { padding-left: 1.2rem; } li { margin: .3rem 0; }
figure { margin: 1.8rem 0; } figure img { max-width: 100%; display: block; }
figcaption, .note { color: var(--soft); font-size: .85rem; margin-top: .4rem; max-width: 62rem; }
figcaption b { color: var(--ink); }
.gallery figure { margin: 0; }
.gallery { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
.key i { display: inline-block; width: .8rem; height: .2rem; margin: 0 .35rem .2rem 1rem; }
pre { background: #f5f7f8; border-radius: 4px; padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: 1.8rem 0; }
table { border-collapse: collapse; font-size: .84rem; line-height: 1.35; font-variant-numeric: tabular-nums;
  border-bottom: 1.5px solid var(--ink); }
caption { text-align: left; font-weight: 600; font-size: .9rem; padding-bottom: .45rem; }
th { border-top: 1.5px solid var(--ink); border-bottom: 1px solid var(--ink); font-weight: 600;
  vertical-align: bottom; }
th, td { padding: .28rem .7rem .28rem 0; text-align: left; }
th.figure, td.figure { text-align: right; white-space: nowrap; padding-left: .4rem; }
td { vertical-align: top; } td.word { white-space: nowrap; } td.prose { max-width: 34rem; overflow-wrap: anywhere; }
td small, th small { color: var(--soft); font-size: .92em; font-weight: 400; }
tr.first td { border-top: 1px solid var(--line); } tr.open td { color: var(--soft); }
@media print { body { padding: 0; max-width: none; } nav { display: none; } figure, tr { break-inside: avoid; } }
"""


def page(report: Document, drawn: Mapping[str, bytes] | None = None) -> str:
    """The document as HTML; the same document gives the same text.

    `drawn`: figures that are there already, as SVG by name; the others are drawn.
    """
    there = drawn or {}
    blocks = list(report.numbered())
    headings = [block.text for block in blocks if isinstance(block, Heading)] if report.supplement else []
    contents = " ".join(f'<a href="#{_anchor(text)}">{_text(text)}</a>' for text in headings)
    links = f"<nav>{contents}</nav>" if contents else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(report.title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body>'
        f'<h1>{_text(report.title)}</h1><p class="statement">{_text(report.statement)}</p>{links}\n'
        + "\n".join(_block(block, there) for block in blocks)
        + "\n</body></html>\n"
    )


def _block(block: Block, drawn: Mapping[str, bytes]) -> str:
    match block:
        case Heading(text):
            return f'<h2 id="{_anchor(text)}">{_text(text)}</h2>'
        case Paragraph(text, important):
            return f'<p class="important">{_text(text)}</p>' if important else f"<p>{_text(text)}</p>"
        case Bullets(items):
            return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in items)}</ul>"
        case Code(text):
            return f"<pre>{_text(text)}</pre>"
        case Picture():
            return _picture(block, drawn)
        case Gallery():
            return _gallery(block, drawn)
        case Table():
            return _table(block)
        case _:
            assert_never(block)


def _picture(picture: Picture, drawn: Mapping[str, bytes]) -> str:
    title = _text(picture.title)
    caption = f"<b>{title}.</b> {_text(picture.note)}" if picture.note else title
    source = _source(picture, drawn)
    return f'<figure><img alt="{title}" src="{source}"><figcaption>{caption}</figcaption></figure>'


def _gallery(gallery: Gallery, drawn: Mapping[str, bytes]) -> str:
    key = "".join(f'<i style="background:{colour}"></i>{_text(meaning)}' for colour, meaning in gallery.key)
    legend = f'<p class="key">{key}</p>' if key else ""
    return f'{legend}<div class="gallery">{"".join(_picture(it, drawn) for it in gallery.pictures)}</div>'


def _source(picture: Picture, drawn: Mapping[str, bytes]) -> str:
    """The picture as a data URL."""
    kind = "png" if picture.raster else "svg+xml"
    content = drawn.get(picture.name) or (png if picture.raster else svg)(picture.figure)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _table(table: Table) -> str:
    columns = len(table.header)
    kinds = ["word"] * table.labels + ["figure"] * (columns - table.labels)
    if table.labels == columns:
        kinds = ["text"] * (columns - 1) + ["prose"]
    head = "".join(f'<th class="{kind}">{_cell(cell)}</th>' for kind, cell in zip(kinds, table.header, strict=True))
    body = ""
    for cells, first in table.shown():
        state = " ".join([*(["first"] if first else []), *(["open"] if table.dimmed and table.dimmed in cells else [])])
        row = "".join(f'<td class="{kind}">{_cell(cell)}</td>' for kind, cell in zip(kinds, cells, strict=True))
        body += f'<tr class="{state}">{row}</tr>'
    head = f"<thead><tr>{head}</tr></thead>" if any(table.header) else ""
    note = f'<p class="note">{_text(table.note)}</p>' if table.note else ""
    caption = f"<caption>{_text(table.title)}</caption>" if table.title else ""
    return f'<div class="wide"><table>{caption}{head}<tbody>{body}</tbody></table>{note}</div>'


def _cell(text: str) -> str:
    """Renders a cell; what follows a line break is the interval or the unit, and smaller."""
    first, broken, rest = text.partition("\n")
    return f"{_text(first)}<br><small>{_text(rest)}</small>" if broken else _text(first)


def _anchor(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text.lower())


def _text(value: str) -> str:
    return html.escape(value)
