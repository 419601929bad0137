"""A hospital's day in half an hour: studies in waves, queries, a PACS away after noon, retention; and nothing grows.

FAULTS_DAY_S=300 pytest -m faults tests/faults/test_day.py    # a shorter day, which is written down as such
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from node.settings import AnalysisSettings

from ..parts.dcmtk import run_dcmtk, running_storescp
from ..parts.node import AE_TITLE, Node
from ..parts.processes import free_port, wait_for
from .acknowledged import Acknowledged
from .nodes import destination, settings_of, tiny_node
from .samples import Sample, Sampling, sample
from .senders import Senders
from .studies import SentStudy, tiny_studies
from .test_outages import ended_well, serving
from .trend import growth

DAY_S = float(os.environ.get("FAULTS_DAY_S", "1800"))
#: Studies that come in each hour, from midnight on.
ARRIVALS = (1, 0, 0, 1, 0, 1, 2, 4, 7, 8, 8, 7, 5, 6, 7, 7, 6, 4, 3, 2, 2, 1, 1, 1)
#: The hours in which the PACS takes nothing.
AWAY = (13, 15)
SCANNERS = 4
#: What may be gained in the last two thirds of the day, at most; of queues the end is looked at. Of memory SQLite's
#: caches grow with the index until they are full: 2 MB of pages a connection, and a node keeps up to 13
#: (storage/database.py, DBOS). A day in 540 s, of which 41 studies were analysed, gained 15 MB after its first quarter,
#: 10 after its first third, 3 after its first half and 0 in its last third; of the 10, SQLite had 4.4
#: (sqlite3_memory_used) and the objects of Python 1.5.
MOST_GROWTH = {"memory_mb": 20.0, "descriptors": 1.0, "threads": 1.0}
EMPTY_AT_THE_END = ("queue", "undelivered", "spool", "orphans", "volumes")
_SAMPLES = 240
RETENTION = f"""
[retention]
enabled = true
every_s = {DAY_S / 96}
[[retention.rules]]
name = "images after six hours"
remove = "images"
older_than_days = {DAY_S / 4 / 86400}
"""


def test_associations_leave_no_descriptor_and_no_thread_behind(tmp_path: Path) -> None:
    """The short form: of a listener."""
    node = tiny_node(tmp_path / "node", AnalysisSettings(), [])
    try:
        node.start("listener")
        for _ in range(5):
            assert node.answers()
        before = at_rest(node)
        for _ in range(30):
            assert node.answers()
        wait_for(lambda: sample(node).threads <= before.threads, "the last association's thread has ended", 10)
        after = sample(node)
    finally:
        node.stop()
    assert (after.descriptors, after.threads) == (before.descriptors, before.threads)


def at_rest(node: Node) -> Sample:
    """Of some samples that with the fewest threads: that of an association ends a moment after it has answered."""
    found = []
    for _ in range(10):
        time.sleep(0.1)
        found.append(sample(node))
    return min(found, key=lambda it: it.threads)


@pytest.mark.faults
@pytest.mark.timeout(2400 + DAY_S)
def test_nothing_grows_in_a_hospitals_day(tmp_path: Path, bundles: AnalysisSettings, figures: dict[str, float]) -> None:
    studies, port = tuple(tiny_studies(tmp_path / "studies", sum(ARRIVALS), "day")), free_port()
    node = tiny_node(tmp_path / "node", bundles, [destination(port)], RETENTION)
    senders = Senders(node.port, Acknowledged())
    with serving(node):
        with Sampling(node, DAY_S / _SAMPLES) as sampling, queries(node, DAY_S / 24 / 10) as asked:
            away = threading.Thread(target=receives_but_when_away, args=[tmp_path / "pacs", port, DAY_S])
            away.start()
            send_in_waves(senders, studies)
            away.join()
        with running_storescp(tmp_path / "pacs-after", port=port):
            came = {"pacs": lambda: _files(tmp_path / "pacs", tmp_path / "pacs-after")}
            figures |= ended_well(node, studies, senders.acknowledged, came, lambda: without_images(node))
        figures["studies whose images were removed"] = len(without_images(node))
        time.sleep(2)
        left = sample(node)
    series = sampling.series()
    gained = {name: growth(series[name]) for name in MOST_GROWTH}
    figures["s that the day took"] = DAY_S
    figures["queries answered"] = asked()
    figures |= {f"{name} at most": round(max(values), 1) for name, values in series.items()}
    figures |= {f"{name} gained at most": round(value, 1) for name, value in gained.items()}
    seen = str({name: [round(value) for value in series[name]] for name in gained})  # pytest would shorten a list
    assert {name: value for name, value in gained.items() if value > MOST_GROWTH[name]} == {}, seen
    assert without_images(node), "the rule has removed nothing"
    assert {name: getattr(left, name) for name in EMPTY_AT_THE_END if getattr(left, name)} == {}


def without_images(node: Node) -> set[str]:
    """Studies whose images the rule has removed, which is only after all is delivered."""
    engine = create_engine(settings_of(node).storage_url)
    try:
        with engine.connect() as connection:
            return set(connection.execute(text("SELECT study_instance_uid FROM removal")).scalars())
    finally:
        engine.dispose()


def send_in_waves(senders: Senders, studies: tuple[SentStudy, ...]) -> None:
    """Send them by several scanners over the day, as many an hour as come then."""
    begun, number = time.monotonic(), 0
    with ThreadPoolExecutor(SCANNERS) as scanners:
        sent = []
        for hour, count in enumerate(ARRIVALS):
            for place in range(count):
                time.sleep(max(0.0, begun + (hour + place / count) * DAY_S / 24 - time.monotonic()))
                sent.append(scanners.submit(senders.send, studies[number], DAY_S, number))
                number += 1
        time.sleep(max(0.0, begun + DAY_S - time.monotonic()))
        for each in sent:
            each.result()


def receives_but_when_away(folder: Path, port: int, day_s: float) -> None:
    """The PACS of the day."""
    hour = day_s / 24
    with running_storescp(folder, port=port):
        time.sleep(AWAY[0] * hour)
    time.sleep((AWAY[1] - AWAY[0]) * hour)
    with running_storescp(folder, port=port):
        time.sleep((24 - AWAY[1]) * hour)


@contextmanager
def queries(node: Node, every_s: float) -> Iterator[Callable[[], int]]:
    """Workstations ask for studies until the block ends; how many they have asked."""
    over, answers = threading.Event(), []

    def ask() -> None:
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "PatientID=*"]
        while not over.wait(every_s):
            called = ["-v", "-S", "-aet", "SCANNER", "-aec", AE_TITLE, "127.0.0.1", node.port]
            answers.append(run_dcmtk("findscu", *called, *keys))

    thread = threading.Thread(target=ask, name="queries")
    thread.start()
    try:
        yield lambda: len(answers)
    finally:
        over.set()
        thread.join()
    assert [each.stderr for each in answers if each.returncode] == []


def _files(*folders: Path) -> list[bytes]:
    return [path.read_bytes() for folder in folders for path in folder.iterdir() if path.suffix != ".log"]
