"""One document in every format: the same words, in the same order."""

from __future__ import annotations

import io

import docx
import pytest
from matplotlib.figure import Figure

from models.research.documents.blocks import Bullets, Code, Document, Gallery, Heading, Paragraph, Picture, Table
from models.research.documents.markdown import markdown
from models.research.documents.page import page
from models.research.documents.word import word


def picture(title: str, raster: bool = False) -> Picture:
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().plot([0, 1], [0, 1])
    return Picture(title, title.lower(), figure, raster=raster)


@pytest.fixture
def document() -> Document:
    return Document(
        "A title",
        "A statement",
        (
            Heading("A section"),
            Paragraph("A paragraph"),
            Paragraph("A caution", important=True),
            Bullets(("one", "two")),
            Code("make <it>"),
            Table("", ("name", "value"), (("a", "1\n(0 to 2)"), ("b", "2")), note="A note"),
            picture("Curves"),
            Gallery((picture("Slice", raster=True), picture("Other")), (("#ff0000", "found"),)),
        ),
    )


WORDS = ("A title", "A statement", "A section", "A paragraph", "A caution", "one", "two", "make", "name", "A note")


def in_order(text: str, words: tuple[str, ...]) -> bool:
    places = [text.index(word) for word in words]
    return places == sorted(places)


def test_every_format_has_the_same_words_in_the_same_order(document, words_of_page):
    pictures = ("Curves", "Slice", "Other")
    in_word = docx.Document(io.BytesIO(word(document)))
    texts = [
        "\n".join(
            "\n".join([block.text] if hasattr(block, "runs") else [c.text for row in block.rows for c in row.cells])
            for block in in_word.iter_inner_content()
        ),
        words_of_page(page(document)),
        markdown(document),
    ]
    for text in texts:
        assert in_order(text, (*WORDS, *pictures))


def test_markdown_marks_what_is_code_important_and_a_figure(document):
    text = markdown(document)
    assert "```\nmake <it>\n```" in text
    assert "**A caution**" in text
    assert "| name | value |\n| --- | ---: |\n| a | 1 (0 to 2) |\n| b | 2 |" in text
    assert "![Curves](curves.svg)" in text


def test_an_image_of_voxels_is_embedded_as_png_and_lines_as_svg(document):
    text = page(document)
    assert text.count("data:image/png") == 1
    assert text.count("data:image/svg+xml") == 2
    assert '<i style="background:#ff0000"></i>found' in text


def test_only_a_supplement_has_contents_and_numbers(document, words_of_page):
    supplement = Document(document.title, document.statement, document.blocks, supplement=True)
    assert "<nav>" not in page(document)
    assert "Figure S1. Curves" not in words_of_page(page(document))
    assert "Figure S1. Curves" in page(supplement)
    assert '<nav><a href="#a-section">' in page(supplement)


def test_the_same_document_gives_the_same_bytes(document):
    assert word(document) == word(document)
    assert page(document) == page(document)
