"""What the node needs goes away and comes back, its database and its destinations; one destination tells lies."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from node.settings import AnalysisSettings

from ..interop.bad_destinations import dropping
from ..parts.dcmtk import running_storescp
from ..parts.node import Node
from ..parts.postgresql import PostgreSQL, running_postgresql
from ..parts.processes import free_port, wait_for
from .acknowledged import Acknowledged
from .arrivals import arrivals
from .nodes import destination, settings_of, standing, tiny_node, wait_until_done
from .senders import Senders
from .studies import SentStudy, tiny_studies

#: Of the long form: PostgreSQL is stopped so often while so many studies come, are analysed and delivered.
STOPS, STUDIES = 30, 12


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A PostgreSQL that may be stopped."""
    with running_postgresql() as found:
        yield found


def test_a_listener_goes_on_by_itself_when_postgresql_is_back(tmp_path: Path, server: PostgreSQL) -> None:
    """The short form: what comes meanwhile is not acknowledged, and the sender brings it again."""
    studies = tuple(tiny_studies(tmp_path / "studies", 2, "outage"))
    node = tiny_node(tmp_path / "node", AnalysisSettings(), [], database_url=server.url)
    senders = Senders(node.port, Acknowledged())
    try:
        node.start("listener")
        senders.send(studies[0])
        server.stop()
        sending = senders.begin(studies[1:])
        wait_for(lambda: senders.repeats, "an image is refused", 60)
        server.start()
        senders.finish(sending, 60)
        kept = senders.acknowledged.kept_in(settings_of(node))
    finally:
        node.stop()
    assert kept.acknowledged == sum(len(study.paths) for study in studies)
    assert kept.whole, kept


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_postgresql_is_stopped_and_started_in_the_middle_of_everything(
    tmp_path: Path, bundles: AnalysisSettings, server: PostgreSQL, figures: dict[str, float]
) -> None:
    chance, studies = random.Random(3), tuple(tiny_studies(tmp_path / "studies", STUDIES, "postgresql"))
    with running_storescp(tmp_path / "pacs") as pacs:
        node = tiny_node(tmp_path / "node", bundles, [destination(pacs.port)], database_url=server.url)
        senders, stops = Senders(node.port, Acknowledged()), []
        with serving(node):
            sending = senders.begin(studies, lambda number: len(stops) >= number * STOPS / STUDIES)
            for number in range(STOPS):
                time.sleep(chance.uniform(0, 8))
                server.stop()
                stops.append(number)
                time.sleep(chance.uniform(0, 4))
                server.start()
            senders.finish(sending, 300)
            figures |= ended_well(node, studies, senders.acknowledged, {"pacs": lambda: _files(pacs.folder)})
    figures["stops of PostgreSQL"], figures["images sent again"] = STOPS, senders.repeats


# --- destinations


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_a_destination_is_down_throughout_and_comes_back(
    tmp_path: Path, bundles: AnalysisSettings, figures: dict[str, float]
) -> None:
    """Another one, which is there, waits for nothing."""
    studies, port = tuple(tiny_studies(tmp_path / "studies", STUDIES, "down")), free_port()
    with running_storescp(tmp_path / "there") as there:
        node = tiny_node(tmp_path / "node", bundles, [destination(there.port, "there"), destination(port, "away")])
        senders = Senders(node.port, Acknowledged())
        with serving(node):
            for number, study in enumerate(studies):
                senders.send(study, way=number)
            wait_for(lambda: open_deliveries(node, "there") == 0 == receiving(node), "one has its results", 300, 0.5)
            figures["results that waited"] = waited = open_deliveries(node, "away")
            assert waited > 0
            with running_storescp(tmp_path / "away", port=port) as away:
                begun = time.monotonic()
                came = {"there": lambda: _files(there.folder), "away": lambda: _files(away.folder)}
                figures |= ended_well(node, studies, senders.acknowledged, came)
                figures["at most s until they had come"] = round(time.monotonic() - begun, 1)


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_one_of_two_destinations_says_success_and_keeps_nothing(
    tmp_path: Path, bundles: AnalysisSettings, figures: dict[str, float]
) -> None:
    """It is asked by storage commitment, which finds that out; once it keeps what it is sent, it has everything."""
    studies = tuple(tiny_studies(tmp_path / "studies", 4, "lies"))
    commitment = "commitment = true\ncommitment_after_s = 0.5\ncommitment_wait_s = 5\ncommitment_attempts = 50"
    with running_storescp(tmp_path / "honest") as honest, dropping() as liar:
        to_both = [destination(honest.port, "honest"), destination(liar.port, "liar", commitment)]
        node = tiny_node(tmp_path / "node", bundles, to_both)
        senders = Senders(node.port, Acknowledged())
        with serving(node):
            for number, study in enumerate(studies):
                senders.send(study, way=number)
            wait_for(lambda: liar.wrong() > 3, "it has lied", 300, 0.5)
            figures["reports that it has nothing"] = liar.wrong()
            assert committed(node, "liar") == 0
            liar.recover()
            wait_for(lambda: _all_committed(node, studies), "all is committed", 600, 0.5)
            came = {"honest": lambda: _files(honest.folder), "liar": lambda: list(liar.receiver().files)}
            figures |= ended_well(node, studies, senders.acknowledged, came)
            figures["results committed"] = committed(node, "liar")


# ---


@contextmanager
def serving(node: Node) -> Iterator[None]:
    """The node runs, with all its roles."""
    try:
        node.start()
        yield
    finally:
        node.stop()


def ended_well(
    node: Node,
    studies: tuple[SentStudy, ...],
    acknowledged: Acknowledged,
    came: dict[str, Callable[[], list[bytes]]],
    removed: Callable[[], set[str]] = set,
) -> dict[str, float]:
    """Wait until all is done; what was counted.

    Args:
        came: what each destination has received, by its name.
        removed: studies whose images a rule of retention has removed since.

    Raises:
        AssertionError: something is lost or changed, or is not where it should be.
    """
    uids, settings = [study.uid for study in studies], settings_of(node)
    wait_until_done(node, uids, 60 + 20 * len(studies))
    assert len(acknowledged.digests) == sum(len(study.paths) for study in studies)
    kept, without = acknowledged.kept_in(settings), removed()
    removed_uids = {uid for study in studies if study.uid in without for uid in study.sop_instance_uids.values()}
    assert set(kept.lost) <= removed_uids, set(kept.lost) - removed_uids
    assert not kept.changed, kept.changed
    results = again = 0
    for name, files in came.items():
        arrived = arrivals(settings, name, files(), uids)
        assert arrived.whole, (name, arrived)
        assert arrived.results >= 4 * len(studies)
        results, again = results + arrived.results, again + arrived.again
    return {
        "images acknowledged": len(acknowledged.digests),
        "studies done": len(uids),
        "results delivered": results,
        "results that came again": again,
    }


def _files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.iterdir() if path.suffix != ".log"]


def _count(node: Node, condition: str, **values: str) -> int:
    engine = create_engine(settings_of(node).storage_url)
    try:
        with engine.connect() as connection:
            return int(
                connection.execute(text(f"SELECT count(*) FROM delivery WHERE {condition}"), values).scalar_one()
            )
    finally:
        engine.dispose()


def open_deliveries(node: Node, name: str) -> int:
    """What is to be sent to a destination."""
    return _count(node, "destination = :name AND state IN ('QUEUED', 'CLAIMED')", name=name)


def committed(node: Node, name: str) -> int:
    """What a destination has committed."""
    return _count(node, "destination = :name AND state = 'COMMITTED'", name=name)


def _all_committed(node: Node, studies: tuple[SentStudy, ...]) -> bool:
    there = _count(node, "destination = :name", name="liar")
    return receiving(node) == 0 and there == committed(node, "liar") and there >= 4 * len(studies)


def receiving(node: Node) -> int:
    """Studies that are not analysed yet."""
    return sum(state in ("RECEIVING", "QUEUED") for state in standing(settings_of(node)).states.values())
