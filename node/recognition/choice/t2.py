"""The choice of the T2-weighted volume."""

from __future__ import annotations

from models.sequence import Sequence
from node.codes import Code
from node.recognition.choice.candidates import candidates
from node.recognition.choice.ranking import Preference, Ranking, common_rank, later_rank
from node.recognition.choice.role import RoleChoice, best_of, refused
from node.recognition.header.facts import Fault
from node.recognition.header.words import Words, words
from node.recognition.rules.findings import Finding
from node.recognition.rules.series import Series, SeriesVolume
from node.recognition.rules.volume_facts import names
from node.settings import RecognitionSettings


def choose_t2(series: tuple[Series, ...], settings: RecognitionSettings) -> RoleChoice:
    """The acquired axial turbo spin echo without fat suppression that covers most, in the finest pixels."""
    found = candidates(series, Finding.T2_TSE, settings)
    if not found.usable:
        missing = Fault(Code.MISSING, "no axial T2-weighted turbo spin echo series")
        return refused(Sequence.T2WI, series, Finding.T2_TSE, found.passed_over, missing)
    vocabulary = words(settings.words_of_site)
    return best_of(Sequence.T2WI, found, lambda entry: _rank(entry, vocabulary))


def _rank(entry: SeriesVolume, vocabulary: Words) -> Ranking:
    frame = entry.volume.first
    return (
        Preference("not derived", float("DERIVED" not in frame.image_type)),
        Preference("without fat suppression", float(not frame.sequence.fat_suppressed)),
        *common_rank(entry),
        Preference("named T2", float(vocabulary.say("t2", names(frame)))),
        *later_rank(entry),
    )
