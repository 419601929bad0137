"""Images of a study that a PACS has and that have not arrived here: its C-FIND counts beside the index."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from node.codes import Code
from node.dicom.association import RemoteAE
from node.dicom.find import count_images
from node.errors import TransientError
from node.settings import RemoteSettings
from storage.index import Index
from storage.ledger import Ledger

_NAMED = 3  # series that a sentence names


@dataclass(frozen=True, slots=True)
class SeriesShortage:
    """A series of which the PACS has more instances than arrived."""

    series_instance_uid: str
    arrived: int
    at_pacs: int

    def __str__(self) -> str:
        return f"{self.arrived} of {self.at_pacs} instances of series {self.series_instance_uid}"


@dataclass(frozen=True, slots=True)
class Shortage:
    """The answer of one inquiry: what is not here, or the error for which that is not known."""

    series: tuple[SeriesShortage, ...] = ()
    error: str = ""

    @property
    def caution(self) -> str:
        """A sentence for those who read the results of the study, taken as it is; empty when it is whole."""
        if self.error:
            return f"{Code.NOT_COUNTED}: whether the PACS has more images is not known: {self.error}"
        if self.series:
            return f"{Code.INCOMPLETE}: {self} had arrived; the PACS has the rest"
        return ""

    def __str__(self) -> str:
        more = len(self.series) - _NAMED
        named = " and ".join(map(str, self.series[:_NAMED]))
        return f"{named} and of {more} more series not all" if more > 0 else named


class Inquiry:
    """Asks one PACS."""

    def __init__(self, pacs: RemoteSettings, index: Index, ledger: Ledger) -> None:
        self._remote = RemoteAE.of(pacs)
        self._index = index
        self._ledger = ledger

    def shortage(self, study_instance_uid: str) -> Shortage:
        """Series of MR images of which the PACS has more than arrived.

        Left out are the results of this node and all that is not MR: reports, key objects, presentation states.
        """
        own = {result.series_instance_uid for result in self._ledger.all_results(study_instance_uid)}
        own |= self._index.returned_series(study_instance_uid)
        try:
            at_pacs = count_images(self._remote, study_instance_uid, "MR", own)
        except TransientError as error:
            return Shortage(error=str(error))
        arrived = Counter(record.header.series_instance_uid for record in self._index.instances(study_instance_uid))
        return Shortage(
            tuple(
                SeriesShortage(series, arrived[series], count)
                for series, count in sorted(at_pacs.items())
                if count > arrived[series]
            )
        )
