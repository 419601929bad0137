"""The JSON Schema of every answer: `python -m node.operations.json_schema > docs/json-schema.json`."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import TypeAdapter

from node.audit.verification import Verified
from node.operations.accounts import AccountList, Link, Removed
from node.operations.alerts import AlertLine, AlertList, Tried
from node.operations.answer_check import Checked
from node.operations.backup import BackedUp
from node.operations.bundles import Added, Bundles
from node.operations.cancel import Cancelled
from node.operations.configuration import CheckedConfiguration
from node.operations.erasure import ErasureReport
from node.operations.journal import JournalPage
from node.operations.quarantine import DiscardedMany, QuarantineDetail, QuarantineList, ReleasedMany
from node.operations.replay import Replay
from node.operations.rerun import Rerun
from node.operations.research_export import Exported
from node.operations.resend import Resent
from node.operations.restore import Restored
from node.operations.retention import Removals, RetentionPlan
from node.operations.retrieve import Known, Retrieved
from node.operations.status import Report
from node.operations.studies import StudyPage
from node.operations.super_resolve import SuperResolved
from node.operations.transfer import Echoed, Sent
from node.recognition.record import StudyPlan
from storage.holds import Hold
from storage.reindexing import Reindexed

#: What a command prints with `--json`; `explain` one document a line for each study.
ANSWERS: dict[str, type] = {
    "account add": Link,
    "account link": Link,
    "account list": AccountList,
    "account remove": Removed,
    "alerts": AlertList,
    "alerts acknowledge": AlertLine,
    "alerts test": Tried,
    "audit find": JournalPage,
    "audit verify": Verified,
    "backup": BackedUp,
    "cancel": Cancelled,
    "check-answer": Checked,
    "check-config": CheckedConfiguration,
    "echo": Echoed,
    "erase": ErasureReport,
    "explain": StudyPlan,
    "export": Exported,
    "find": StudyPage,
    "hold": Hold,
    "models add": Added,
    "models list": Bundles,
    "models verify": Bundles,
    "quarantine discard": DiscardedMany,
    "quarantine list": QuarantineList,
    "quarantine release": ReleasedMany,
    "quarantine show": QuarantineDetail,
    "reindex": Reindexed,
    "release-hold": Hold,
    "replay": Replay,
    "rerun": Rerun,
    "resend": Resent,
    "retention": Removals,
    "retention --dry-run": RetentionPlan,
    "restore": Restored,
    "retrievals": Known,
    "retrieve": Retrieved,
    "send": Sent,
    "status": Report,
    "super-resolve": SuperResolved,
}


def json_schema() -> dict[str, Any]:
    """One schema with a property for each command, whose value is the schema of its answer."""
    adapters: list[tuple[str, Literal["serialization"], TypeAdapter[Any]]] = [
        (command, "serialization", TypeAdapter(kind)) for command, kind in ANSWERS.items()
    ]
    schemas, definitions = TypeAdapter.json_schemas(adapters)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What the commands of rectal-node print with --json",
        "description": "A property a command. Fields keep their names; times are ISO 8601 in UTC.",
        "type": "object",
        "properties": {command: schemas[command, "serialization"] for command in ANSWERS},
        "$defs": definitions["$defs"],
    }


def as_text() -> str:
    """The schema as it is kept in docs/json-schema.json."""
    return json.dumps(json_schema(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(as_text(), end="")
