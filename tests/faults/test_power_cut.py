"""A power cut at any moment: what was answered with Success is there when the node starts again.

There is no disk here whose power could be cut. The changes of a real node are recorded, and what a cut would have left
of them is put on the disk (`recorder`, `replay`). Whether that can find anything is shown by the control: a node whose
syncs do nothing (libeatmydata) loses what it has acknowledged.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.service import Service, ServiceRole
from node.settings import AnalysisSettings

from ..parts.dcmtk import running_storescp
from ..parts.node import ROOT, Node
from .acknowledged import Acknowledged, Kept
from .arrivals import arrivals, sop_instance_uid
from .nodes import destination, settings_of, tiny_node, wait_until_done
from .recorder import Answered, Operation, Sent, read_trace, recording
from .replay import Loss, Tree
from .senders import Senders, by_pynetdicom
from .studies import SentStudy, tiny_studies

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: `make tools` installs it")

#: Of the long form.
CUTS, CUTS_OF_A_WHOLE_NODE = 60, 12


@dataclass(frozen=True)
class Recording:
    """What a node has done to its root while studies came, and what the images were that it has acknowledged."""

    root: Path
    operations: Sequence[Operation]
    acknowledged: Acknowledged
    studies: Sequence[SentStudy]

    @property
    def answers(self) -> list[int]:
        """Where an image was acknowledged."""
        return [number for number, each in enumerate(self.operations) if isinstance(each, Answered)]

    def sent_before(self, cut: int, files: Iterable[bytes]) -> list[bytes]:
        """Of the files that a destination has received, those whose sending had begun before a cut."""
        sent = {each.sop_instance_uid for each in self.operations[:cut] if isinstance(each, Sent)}
        return [file for file in files if sop_instance_uid(file) in sent]

    def leave(self, node: Node, cut: int, loss: Loss) -> Acknowledged:
        """Give another node what a cut leaves of the root; what had been acknowledged by then."""
        root = settings_of(node).root
        shutil.rmtree(root, ignore_errors=True)
        Tree(self.root, self.operations).leave(root, cut, loss, random.Random(cut))
        before = self.operations[:cut]
        return self.acknowledged.only(each.sop_instance_uid for each in before if isinstance(each, Answered))


def record(
    folder: Path, node: Node, count: int, *roles: str, under: Sequence[object] = (), until_done: bool = False
) -> Recording:
    """Send studies to a node that is recorded, then kill it."""
    studies = tuple(tiny_studies(folder / "studies", count, "cut"))
    senders = Senders(node.port, Acknowledged(), (by_pynetdicom,))
    try:
        node.start(*roles, under=[*recording(folder / "trace"), *under])
        for study in studies:
            senders.send(study, 60)
        if until_done:
            wait_until_done(node, [study.uid for study in studies], 300)
    finally:
        node.kill()
    root = settings_of(node).root
    found = Recording(root, read_trace(folder / "trace", root), senders.acknowledged, studies)
    assert len(found.answers) == sum(len(study.paths) for study in studies)
    return found


@pytest.fixture
def listener(tmp_path: Path) -> Node:
    """A node that is recorded."""
    return tiny_node(tmp_path / "recorded", AnalysisSettings(), [])


@pytest.fixture
def cut_off(tmp_path: Path) -> Node:
    """The node that starts on what a cut has left."""
    return tiny_node(tmp_path / "cut-off", AnalysisSettings(), [])


def started_here(node: Node, acknowledged: Acknowledged) -> Kept:
    """What the node has of it after a start of its listener in this process."""
    service = Service(settings_of(node), frozenset({ServiceRole.LISTENER}))
    service.start()
    service.stop()
    return acknowledged.kept_in(settings_of(node))


def started(node: Node, acknowledged: Acknowledged) -> Kept:
    """The same, as a process of its own."""
    try:
        node.start("listener")
    finally:
        node.stop()
    return acknowledged.kept_in(settings_of(node))


def test_what_was_acknowledged_survives_a_power_cut(tmp_path: Path, listener: Node, cut_off: Node) -> None:
    """The short form: after the first and the last answer, and in between."""
    found = record(tmp_path, listener, 1, "listener")
    first, *_, last = found.answers
    for cut, loss in ((first + 1, Loss.ALL), (last + 1, Loss.ALL), ((first + last) // 2, Loss.SOME)):
        kept = started_here(cut_off, found.leave(cut_off, cut, loss))
        assert kept.acknowledged > 0
        assert kept.whole, (cut, loss, kept)


def test_control_without_syncs_a_power_cut_loses_what_was_acknowledged(
    tmp_path: Path, listener: Node, cut_off: Node
) -> None:
    if shutil.which("eatmydata") is None:
        pytest.skip("eatmydata is missing: `make tools` installs it")
    found = record(tmp_path, listener, 1, "listener", under=["eatmydata"])
    kept = started_here(cut_off, found.leave(cut_off, found.answers[-1] + 1, Loss.ALL))
    assert len(kept.lost) == kept.acknowledged == len(found.answers)
    whole = started_here(cut_off, found.leave(cut_off, found.answers[-1] + 1, Loss.NOTHING))
    assert whole.whole, "a kill takes nothing from a node without syncs"


RECOGNISES = """
import sys
from pathlib import Path
from node.analysis.bundles import Models
from node.analysis.steps import recognise_study
from node.analysis.study import Study
from node.settings import AnalysisSettings, RecognitionSettings
study = Study("1.2.3", 1, {}, Path(sys.argv[1]) / "work" / "1.2.3" / "1")
recognise_study(study, RecognitionSettings(), Models(AnalysisSettings()))
"""


def test_what_a_step_of_an_analysis_leaves_to_the_next_survives_a_power_cut_with_its_folders(tmp_path: Path) -> None:
    """The queue, whose record of the step is durable, does not repeat it."""
    root = tmp_path / "var"
    root.mkdir()
    call = [*recording(tmp_path / "trace"), sys.executable, "-c", RECOGNISES, root]
    subprocess.run([str(word) for word in call], check=True, cwd=ROOT)
    operations = read_trace(tmp_path / "trace", root)
    Tree(root, operations).leave(tmp_path / "left", len(operations), Loss.ALL, random.Random(1))
    assert (tmp_path / "left" / "work" / "1.2.3" / "1" / "plan.json").read_bytes()


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_power_cuts_while_studies_come(
    tmp_path: Path, listener: Node, cut_off: Node, figures: dict[str, float]
) -> None:
    """After answers, where most is promised, and anywhere; all that is not synced is lost, or a part of it."""
    found = record(tmp_path, listener, 8, "listener")
    chance = random.Random(1)
    cuts = [answer + 1 for answer in found.answers]
    anywhere = [chance.randrange(len(found.operations)) for _ in range(CUTS)]
    for cut, loss in [*((cut, Loss.ALL) for cut in cuts), *((cut, Loss.SOME) for cut in anywhere)]:
        kept = started(cut_off, found.leave(cut_off, cut, loss))
        assert kept.whole, (cut, loss, kept)
        figures["images acknowledged before a cut"] = (
            figures.get("images acknowledged before a cut", 0) + kept.acknowledged
        )
    figures["changes recorded"] = len(found.operations)
    figures["power cuts"] = len(cuts) + len(anywhere)


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_control_power_cuts_without_syncs(
    tmp_path: Path, listener: Node, cut_off: Node, figures: dict[str, float]
) -> None:
    found = record(tmp_path, listener, 2, "listener", under=["eatmydata"])
    for answer in found.answers:
        kept = started(cut_off, found.leave(cut_off, answer + 1, Loss.ALL))
        figures["power cuts"] = figures.get("power cuts", 0) + 1
        figures["images lost in the control"] = figures.get("images lost in the control", 0) + len(kept.lost)
        assert len(kept.lost) == kept.acknowledged


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_power_cuts_of_a_node_that_receives_analyses_and_delivers(
    tmp_path: Path, bundles: AnalysisSettings, figures: dict[str, float]
) -> None:
    """After each cut the scanners send what nobody acknowledged, and every study ends with its results."""
    chance, before = random.Random(2), tmp_path / "before"
    with running_storescp(before) as pacs:
        node = tiny_node(tmp_path / "recorded", bundles, [destination(pacs.port)])
        found = record(tmp_path, node, 2, until_done=True)
    figures["changes recorded"] = len(found.operations)
    for number in range(CUTS_OF_A_WHOLE_NODE):
        cut, loss = chance.randrange(found.answers[0], len(found.operations)), (Loss.ALL, Loss.SOME)[number % 2]
        with running_storescp(tmp_path / f"after-{number}") as pacs:
            node = tiny_node(tmp_path / f"cut-off-{number}", bundles, [destination(pacs.port)])
            acknowledged = found.leave(node, cut, loss)
            finished_after(node, acknowledged, found.studies)
            files = [*found.sent_before(cut, pacs_files(before)), *(path.read_bytes() for path in pacs.files())]
        arrived = arrivals(settings_of(node), "pacs", files, [study.uid for study in found.studies])
        assert arrived.whole, (cut, loss, arrived)
        figures["power cuts"] = number + 1
        figures["studies done"] = figures.get("studies done", 0) + len(found.studies)
        figures["results delivered"] = figures.get("results delivered", 0) + arrived.results
        figures["results that came again"] = figures.get("results that came again", 0) + arrived.again


def finished_after(node: Node, acknowledged: Acknowledged, studies: Sequence[SentStudy]) -> None:
    """Start a node on what a cut has left, send what it has not acknowledged, and wait until it has done all of it."""
    senders = Senders(node.port, Acknowledged(dict(acknowledged.digests)), (by_pynetdicom,))
    try:
        node.start()
        kept = acknowledged.kept_in(settings_of(node))
        assert kept.whole, kept
        for study in studies:
            senders.send(study)
        wait_until_done(node, [study.uid for study in studies], 300)
    finally:
        node.stop()
    kept = senders.acknowledged.kept_in(settings_of(node))
    assert kept.whole, kept


def pacs_files(folder: Path) -> Iterator[bytes]:
    """What a receiver has written there."""
    return (path.read_bytes() for path in folder.iterdir() if path.suffix != ".log")
