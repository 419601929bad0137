"""The studies in a folder that never entered the node, from their headers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from node.errors import GivenFileError, NodeError
from node.recognition.header import clashes
from node.recognition.header.facts import Fault
from node.recognition.header.files import files_in
from node.recognition.header.frames import unreadable
from node.recognition.plan import HeaderFinding, ReadHeaders, StudyFacts, gather, given_header_of, read_headers
from node.settings import RecognitionSettings

_NAMED_FILES = 5
_WORD = re.compile(r"[^\s:;,]+")


def read_given(files: Iterable[Path], settings: RecognitionSettings) -> Iterator[HeaderFinding]:
    """The facts of the header of each file; one that cannot be read, for whatever reason, is named with it."""
    return read_headers(files, settings, given_header_of)


def studies_in(path: Path, settings: RecognitionSettings, read: ReadHeaders = read_given) -> Iterator[StudyFacts]:
    """The headers of every study in a folder or file, in the order of their UIDs; `read` opens the files.

    Raises:
        NodeError: there is no DICOM file, or no such folder.
    """
    try:
        path.stat()
    except OSError as error:
        raise NodeError(_nothing_in(str(path), [unreadable(path, error)])) from error
    return _studies(files_in(path), settings, read, str(path))


def studies_of(files: Sequence[Path], settings: RecognitionSettings, names: Mapping[Path, str]) -> Iterator[StudyFacts]:
    """The same of these files, which are told of by other names."""
    by_name = {path.name: name for path, name in names.items()}

    def renamed(sentence: str) -> str:
        return _WORD.sub(lambda word: by_name.get(word.group(), word.group()), sentence)

    try:
        for study in _studies(list(files), settings, read_given, "what was given"):
            yield replace(study, warnings=tuple(map(renamed, study.warnings)))
    except NodeError as error:
        raise GivenFileError(renamed(str(error)), str(error)) from error


def _studies(files: list[Path], settings: RecognitionSettings, read: ReadHeaders, where: str) -> Iterator[StudyFacts]:
    found = list(zip(files, read(files, settings), strict=True))
    studies: dict[str, list[tuple[Path, HeaderFinding]]] = defaultdict(list)
    for file, facts in found:
        if not isinstance(facts, Fault):
            studies[facts[0].header.study_instance_uid].append((file, facts))
    if not studies:
        raise NodeError(_nothing_in(where, [facts for _, facts in found if isinstance(facts, Fault)]))
    unreadable = [(file, facts) for file, facts in found if isinstance(facts, Fault)]
    gathered = [gather(uid, (*own, *unreadable)) for uid, own in sorted(studies.items())]
    elsewhere = clashes.between((study.study_instance_uid, study.frames) for study in gathered)
    for study in gathered:
        clashing = clashes.across(study.frames, elsewhere.get(study.study_instance_uid, {}))
        yield replace(study, warnings=(*study.warnings, *clashing))


def _nothing_in(where: str, faults: Sequence[Fault]) -> str:
    """Why there is nothing to be recognised, with what is wrong with the first files."""
    more = len(faults) - _NAMED_FILES
    named = [fault.sentence for fault in faults[:_NAMED_FILES]] + ([f"and {more} more"] if more > 0 else [])
    return "; ".join((f"{where}: no DICOM file that can be read", *named))
