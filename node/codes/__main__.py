"""`python -m node.codes` writes the page of all codes."""

from __future__ import annotations

from node.codes.page import as_markdown

if __name__ == "__main__":
    print(as_markdown(), end="")
