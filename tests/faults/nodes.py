"""A node as a process of its own that analyses tiny studies with tiny bundles, and what is left on its disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, text

from node.settings import AnalysisSettings, Settings, load_settings
from storage.database import open_engine
from storage.records import OPEN_DELIVERIES

from ..parts.node import Node
from ..parts.processes import free_port, wait_for

CONFIG = """
root = "var"
database_url = "{database_url}"
[listener]
port = {port}
minimum_free_gb = 0
[completion]
quiet_s = {quiet_s}
incomplete_after_s = {quiet_s}
sweep_every_s = 1
wanted = ["T2WI"]
[maintenance]
reconcile_hours = 0.005
orphan_grace_hours = {grace_hours}
[recognition]
protocol_factor = 20.0
[analysis]
threads = 1
super_resolution = "{bundles.super_resolution}"
segmentation = "{bundles.segmentation}"
prediction = "{bundles.prediction}"
{more}
"""
DESTINATION = """
[[remotes]]
name = "{name}"
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
receives_results = true
timeout_s = 5
first_retry_s = 0.5
longest_retry_s = 2
{more}
"""
#: What a kill left between file and row is taken in or removed when it is older, in s; longer than an analysis takes.
GRACE_S = 30
#: Where there is a remote, who sends has to be one.
SCANNERS = """
[[remotes]]
name = "scanners"
ae_title = "SCANNER"
may_store = true
may_query = true
may_retrieve = true
"""


def tiny_node(
    folder: Path,
    bundles: AnalysisSettings,
    destinations: Sequence[str],
    more: str = "",
    database_url: str = "",
    quiet_s: float = 1,
) -> Node:
    """A node of a new folder, not started; `destinations` are entries of its configuration, as `DESTINATION`."""
    folder.mkdir(parents=True)
    node = Node(folder, free_port(), calling="SCANNER")
    text_of = CONFIG.format(
        port=node.port,
        bundles=bundles,
        more=more,
        database_url=database_url,
        quiet_s=quiet_s,
        grace_hours=GRACE_S / 3600,
    )
    node.config.write_text("\n".join([text_of, SCANNERS, *destinations]))
    return node


def destination(port: int, name: str = "pacs", more: str = "") -> str:
    """The entry of a destination in the configuration of a node."""
    return DESTINATION.format(port=port, name=name, more=more)


def settings_of(node: Node) -> Settings:
    """What its configuration says."""
    return load_settings(node.config)


@dataclass(frozen=True)
class Standing:
    """Where the work of a node stands: states of its studies, and how many deliveries are open."""

    states: dict[str, str]
    open_deliveries: int

    def all_done(self, studies: Sequence[str]) -> bool:
        """Whether these studies are analysed and nothing is to be delivered any more."""
        under_way = ("RECEIVING", "QUEUED", None)
        return not self.open_deliveries and not any(self.states.get(uid) in under_way for uid in studies)


def standing(settings: Settings) -> Standing:
    """By one look at the tables."""
    engine = create_engine(settings.storage_url)
    states = ", ".join(f"'{state}'" for state in OPEN_DELIVERIES)
    try:
        with engine.connect() as connection:
            studies = connection.execute(text("SELECT study_instance_uid, state FROM study"))
            found = {uid: state for uid, state in studies}
            waiting = connection.execute(text(f"SELECT count(*) FROM delivery WHERE state IN ({states})")).scalar_one()
    finally:
        engine.dispose()
    return Standing(found, waiting)


def wait_until_done(node: Node, studies: Sequence[str], seconds: float) -> Standing:
    """Wait until the node has analysed and delivered these studies, each with results.

    Raises:
        AssertionError: it has not in this time, or ended one otherwise.
    """
    settings = settings_of(node)

    def done() -> Standing | None:
        found = standing(settings)
        return found if found.all_done(studies) else None

    found: Standing = wait_for(done, f"{len(studies)} studies are done", seconds, 0.3)
    others = {uid: found.states[uid] for uid in studies if found.states[uid] != "COMPLETED"}
    assert not others, others
    return found


def wait_until_known(node: Node) -> int:
    """Wait until the node that runs has brought files and rows together; how many files had no row before.

    Raises:
        AssertionError: files without a row outlive their time of grace.
    """
    settings = settings_of(node)
    before = len(orphans(settings))
    wait_for(lambda: not orphans(settings), f"each of {before} orphans is taken in or removed", 4 * GRACE_S, 1)
    return before


def orphans(settings: Settings, older_than_s: float = 0) -> list[Path]:
    """Files among the objects that no row names, last written so long ago."""
    engine = open_engine(settings.storage_url)
    try:
        with engine.connect() as connection:
            known = set(connection.execute(text("SELECT path FROM dicom_object")).scalars())
    finally:
        engine.dispose()
    limit = time.time() - older_than_s
    files = [path for path in (settings.root / "objects").rglob("*") if path.is_file()]
    return [path for path in files if str(path.relative_to(settings.root)) not in known and _older(path, limit)]


def _older(path: Path, limit: float) -> bool:
    try:
        return path.stat().st_mtime <= limit
    except FileNotFoundError:
        return False
