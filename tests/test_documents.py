"""Documents: every link between them leads somewhere, and every document is reached from the index."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def documents() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout")
    return [ROOT / name for name in listed.stdout.splitlines()]


def linked(document: Path) -> list[Path]:
    targets = (target.partition("#")[0] for target in LINK.findall(document.read_text("utf-8")))
    return [document.parent / target for target in targets if target and "://" not in target]


def test_every_link_between_documents_leads_somewhere() -> None:
    links = {document: linked(document) for document in documents()}
    assert sum(map(len, links.values())) > 20
    broken = [f"{document.name}: {it}" for document, targets in links.items() for it in targets if not it.exists()]
    assert broken == []


def test_every_document_is_reached_from_the_index() -> None:
    reached, to_read = set(), [ROOT / "docs" / "index.md"]
    while to_read:
        document = to_read.pop().resolve()
        if document.is_dir():
            to_read += document.glob("*.md")
        elif document.suffix == ".md" and document not in reached:
            reached.add(document)
            to_read += linked(document)
    missed = {document.resolve() for document in documents()} - reached
    assert sorted(str(document.relative_to(ROOT)) for document in missed) == []
