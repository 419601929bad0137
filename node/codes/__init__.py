"""Every code that the node names: what it means, what to do.

`Code` has those of studies and their objects (a refusal, a warning, a finding that is set aside), `Alert` those of
conditions that an operator has to see. `python -m node.codes > docs/codes.md` writes them down. Codes that storage and
models name are defined there, since neither knows the node, and are listed here.
"""

from __future__ import annotations

from node.codes.alerts import Alert
from node.codes.definition import Definition, Kind
from node.codes.studies import Code

__all__ = ["CODES", "Alert", "Code", "Kind"]

CODES: tuple[Definition, ...] = (*Code, *Alert)
