"""One study fetched: counted there and here, asked for, counted again, and by series and image where short."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field

from node.dicom.association import RemoteAE
from node.dicom.find import count_images, find_instances
from node.retrieval.exchange import Answer, Keys, Line
from node.retrieval.route import Route

UNKNOWN_DESTINATION = 0xA801

_UIDS_AT_ONCE = 100  # of a request; some systems take no longer lists
_ROUNDS = 2  # the study, and then what of it is short
_LOOK_S = 0.25

Here = Callable[[str], Mapping[str, frozenset[str]]]
"""The objects of a study that are here: SOP Instance UIDs by Series Instance UID."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many objects of a study have come so far, of how many."""

    here: int
    there: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """The end of an attempt; `reason` says why something is short, and is empty where nothing is.

    `hopeless`: another attempt cannot help before a person has done something.
    """

    there: int
    here: int
    reason: str = ""
    hopeless: bool = False


@dataclass(slots=True)
class _Said:
    """What the remote said of the requests of an attempt."""

    sent: int = 0
    failed: int = 0
    words: str = ""
    unknown_destination: bool = False

    def add(self, answer: Answer) -> None:
        """The last answer to a request."""
        self.sent += answer.done.completed + answer.done.warning
        self.failed += answer.done.failed
        self.words = self.words or answer.words
        self.unknown_destination |= answer.status == UNKNOWN_DESTINATION


@dataclass(frozen=True, slots=True)
class _Study:
    """A study at a remote: the instances of each of its series there; and here, whenever it is looked."""

    uid: str
    there: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Instances there."""
        return sum(self.there.values())

    def arrived(self, here: Mapping[str, frozenset[str]]) -> int:
        """Instances here of those that are there."""
        return sum(min(count, len(here.get(series, ()))) for series, count in self.there.items())

    def short(self, here: Mapping[str, frozenset[str]]) -> list[str]:
        """Series of which more are there than here."""
        return [series for series, count in self.there.items() if count > len(here.get(series, ()))]


def fetch(
    remote: RemoteAE, study_instance_uid: str, route: Route, line: Line, here: Here, patience_s: float
) -> Generator[Progress, None, Fetched]:
    """Fetch what of a study is there and not here; closing the generator ends the request that is under way.

    Args:
        remote: where it is.
        study_instance_uid: the study.
        route: how its objects come.
        line: ends the request that is under way.
        here: tells what is here.
        patience_s: for objects that come after the last answer, since the one before.

    Raises:
        TransientError: the remote cannot be asked; the message says why.
    """
    study = _Study(study_instance_uid, count_images(remote, study_instance_uid, ""))
    before = study.arrived(here(study.uid))
    if not study.there:
        return Fetched(0, before, f"{remote.called_ae} has no such study", hopeless=True)
    said = _Said()
    for _ in range(_ROUNDS):
        for keys in list(_requests(remote, study, here(study.uid))):
            yield from _asked(route(remote, keys, line), said, study.arrived(here(study.uid)), study.total)
        yield from _rest(study, here, said.sent, before, patience_s, line)
        arrived = study.arrived(here(study.uid))
        lost = said.sent > 0 and arrived == before
        if said.unknown_destination or lost or arrived == study.total:
            break
    yield Progress(arrived, study.total)
    if not study.short(here(study.uid)):
        return Fetched(study.total, arrived)
    reason = _reason(remote, route, study, said, study.total - before, arrived - before)
    return Fetched(study.total, arrived, reason, said.unknown_destination)


def _asked(answers: Iterator[Answer], said: _Said, arrived: int, total: int) -> Iterator[Progress]:
    """The progress of one request, as the remote tells it."""
    for answer in answers:
        if not answer.is_pending:
            said.add(answer)
        yield Progress(min(arrived + answer.done.completed + answer.done.warning, total), total)


def _requests(remote: RemoteAE, study: _Study, here: Mapping[str, frozenset[str]]) -> Iterator[Keys]:
    """Requests for what is short: the whole study, series of which nothing is here, or images."""
    short = study.short(here)
    if short and not any(here.get(series) for series in study.there):
        yield Keys(study.uid)
        return
    for series in short:
        known = here.get(series, frozenset())
        if not known:
            yield Keys(study.uid, (series,))
            continue
        there = find_instances(remote, study.uid, series)
        study.there[series] = len(there)  # a count of a series may be wrong, and a list is not
        lacking = sorted(there - known)
        for begin in range(0, len(lacking), _UIDS_AT_ONCE):
            yield Keys(study.uid, (series,), tuple(lacking[begin : begin + _UIDS_AT_ONCE]))


def _rest(study: _Study, here: Here, sent: int, before: int, patience_s: float, line: Line) -> Iterator[Progress]:
    """Wait for objects that the remote says it has sent, unless the node stops: some answer before they have."""
    arrived = study.arrived(here(study.uid))
    deadline = time.monotonic() + patience_s
    while arrived < study.total and arrived - before < sent and time.monotonic() < deadline and not line.is_ended:
        time.sleep(_LOOK_S)
        if (now := study.arrived(here(study.uid))) > arrived:
            arrived, deadline = now, time.monotonic() + patience_s
            yield Progress(arrived, study.total)


def _reason(remote: RemoteAE, route: Route, study: _Study, said: _Said, wanted: int, came: int) -> str:
    """Why something is short, as far as the answers and what came of what was wanted tell."""
    name = remote.called_ae
    if said.unknown_destination:
        return f"{name} does not know the destination ({route.words}): it must be entered there, with address and port"
    if said.sent and not came:
        return (
            f"{name} says that it sent {said.sent} objects {route.words}, and none came: it has another address for "
            "this AE title, another system has the same, or this node refused them (see its log)"
        )
    words = f" ({said.words})" if said.words else ""
    if said.failed:
        return f"{name} could not send {said.failed} objects{words}"
    if said.sent > came:
        return f"{name} says that it sent {said.sent} objects, and {came} came{words}"
    return f"{name} lists {study.total} objects, and sent {said.sent} of the {wanted} that were not here{words}"
