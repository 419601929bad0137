"""Results that the tables of attributes are taken from, beside the images that they were made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from node.results.source import read_header


@dataclass(frozen=True, slots=True)
class Example:
    """A result.

    Attributes:
        dataset: of it, with its pixels.
        sources: headers of images of its study, with text in Unicode.
    """

    dataset: Dataset
    sources: tuple[Dataset, ...]

    @property
    def sop_class(self) -> UID:
        """Of the result."""
        return UID(self.dataset.SOPClassUID)


def read_examples(results: Iterable[Path], sources: Sequence[Path]) -> list[Example]:
    """The results of one study, made from these images.

    Raises:
        OSError: a file cannot be read.
    """
    headers = tuple(map(read_header, sources))
    return [Example(dcmread(path), headers) for path in results]


def by_class(examples: Iterable[Example]) -> dict[UID, list[Example]]:
    """Examples of each SOP class, in the order of their UIDs."""
    found: dict[UID, list[Example]] = {}
    for example in examples:
        found.setdefault(example.sop_class, []).append(example)
    return dict(sorted(found.items()))
