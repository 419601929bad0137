"""How the shipped bundles run on the processor that the tests have: in float32 where it computes no bfloat16."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

from models.engines.execution import Installation, Precision
from models.engines.processor import computes_bfloat16
from models.manifest import MANIFEST_NAME
from node.cli.installed import FLOAT32

from . import engines


@cache
def installation() -> Installation:
    """What is set for bundles that are loaded by themselves; their networks are converted once a session."""
    return Installation(precision=None if computes_bfloat16() else Precision.FLOAT32, cache=engines.folder())


@cache
def in_configuration() -> str:
    """What stands in [analysis] of a configuration with the shipped bundles."""
    return "" if computes_bfloat16() else FLOAT32


def bundle(shipped: Path, folder: Path) -> Path:
    """A shipped bundle, or a copy in `folder` whose manifest names float32."""
    if computes_bfloat16():
        return shipped
    shutil.copytree(shipped, folder, dirs_exist_ok=True)
    manifest = json.loads((shipped / MANIFEST_NAME).read_text("utf-8"))
    manifest["execution"]["precision"] = Precision.FLOAT32
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
    return folder
