"""The page of all codes."""

from __future__ import annotations

from collections.abc import Iterator

from node.codes import CODES
from node.codes.definition import Kind

_KINDS = {
    Kind.REFUSAL: "not used: a frame, a volume, a sequence or the whole study, as the reason says",
    Kind.WARNING: "used, with a caution in status, report and page",
    Kind.SET_ASIDE: "a finding of the segmentation that is not reported",
    Kind.ALERT: "a condition that an operator has to see: `rectal-node alerts`",
}


def as_markdown() -> str:
    """The page of all codes."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield "# Codes"
    yield ""
    yield "What the node names in `status`, `explain`, `alerts`, reports and logs; written by `python -m node.codes`."
    yield ""
    for kind in Kind:
        yield f"- {kind}: {_KINDS[kind]}"
    yield ""
    yield "| code | | meaning | what to do |"
    yield "| --- | --- | --- | --- |"
    for code in sorted(CODES):
        yield f"| `{code}` | {' or '.join(code.kinds)} | {code.meaning} | {code.advice} |"
    yield ""
