"""Series in words that people know them by: their numbers, where those tell them apart, else their UIDs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from node.recognition.header.facts import FrameFacts


def series_names(frames: Iterable[FrameFacts]) -> dict[str, str]:
    """A name for every series of a study, by its UID, in the order of the numbers."""
    numbers = {frame.header.series_instance_uid: frame.header.series_number for frame in frames}
    shared = list(numbers.values())
    ordered = sorted(numbers.items(), key=lambda entry: (entry[1] or 0, entry[0]))
    return {
        uid: str(number) if number is not None and shared.count(number) == 1 else uid or "(no UID)"
        for uid, number in ordered
    }


def series_in_words(uids: Iterable[str], names: Mapping[str, str]) -> str:
    """Such as `series 2, 3 and 5`, in the order of `names`."""
    wanted = set(uids)
    return f"series {listed([name for uid, name in names.items() if uid in wanted])}"


def listed(words: Sequence[str]) -> str:
    """Such as `2, 3 and 5`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
