"""kill -9 at random: what was acknowledged stays, every study ends with its results, and each result arrives."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from node.settings import AnalysisSettings

from ..parts.dcmtk import StoreSCP, running_storescp
from ..parts.node import Node
from .acknowledged import Acknowledged
from .arrivals import arrivals
from .killer import Killer
from .nodes import destination, settings_of, tiny_node, wait_until_done, wait_until_known
from .senders import Senders
from .studies import SentStudy, tiny_studies

#: Of the long form: 300 kills over 60 studies, in rounds that can be repeated one by one.
ROUNDS, KILLS, STUDIES = 6, 50, 10


def test_a_listener_that_is_killed_again_and_again_keeps_what_it_has_acknowledged(tmp_path: Path) -> None:
    """The short form, without an analysis."""
    studies = tuple(tiny_studies(tmp_path / "studies", 2, "killed-listener"))
    node = tiny_node(tmp_path / "node", AnalysisSettings(), [])
    senders = Senders(node.port, Acknowledged())
    killer = Killer(node, random.Random(1), ("listener",))
    try:
        sending = senders.begin(studies, lambda number: killer.kills >= number)
        killer.kill(2, node.answers)
        node.start("listener")
        senders.finish(sending, 60)
        kept = senders.acknowledged.kept_in(settings_of(node))
    finally:
        node.stop()
    assert kept.acknowledged == sum(len(study.paths) for study in studies)
    assert kept.whole, kept


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_kills_at_random_moments(
    round_number: int, tmp_path: Path, bundles: AnalysisSettings, figures: dict[str, float]
) -> None:
    studies = tuple(tiny_studies(tmp_path / "studies", STUDIES, f"kills-{round_number}"))
    with running_storescp(tmp_path / "pacs") as pacs:
        node = tiny_node(tmp_path / "node", bundles, [destination(pacs.port)])
        senders = Senders(node.port, Acknowledged())
        killer = Killer(node, random.Random(round_number))
        try:
            sending = senders.begin(studies, lambda number: killer.kills >= number * KILLS / STUDIES)
            killer.kill(KILLS, (node.folder / "var" / "worklist.sqlite").exists)
            node.start()
            senders.finish(sending, 120)
            wait_until_done(node, [study.uid for study in studies], 60 + 20 * STUDIES)
            figures["kills"], figures["kills within an analysis"] = killer.kills, killer.in_an_analysis
            figures["images sent again"] = senders.repeats
            figures |= judged(node, pacs, studies, senders.acknowledged)
        finally:
            node.stop()


def judged(node: Node, pacs: StoreSCP, studies: Sequence[SentStudy], acknowledged: Acknowledged) -> dict[str, float]:
    """What the node has, and what has arrived, after all is done.

    Raises:
        AssertionError: something is lost, changed or left over.
    """
    settings = settings_of(node)
    kept = acknowledged.kept_in(settings)
    assert kept.acknowledged == sum(len(study.paths) for study in studies)
    assert kept.whole, kept
    uids = [study.uid for study in studies]
    arrived = arrivals(settings, "pacs", (path.read_bytes() for path in pacs.files()), uids)
    assert arrived.results >= 4 * len(studies), "each study has derived images, a mask, a report and a page"
    assert arrived.whole, arrived
    return {
        "images acknowledged": kept.acknowledged,
        "studies done": len(studies),
        "results delivered": arrived.results,
        "results that came again": arrived.again,
        "orphans that a kill had left": wait_until_known(node),
    }
