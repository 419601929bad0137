"""What a measurement report of this node says (TID 1500, `node.results.report`), read back from the object itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from node.errors import PermanentError, told
from node.failure import pass_on
from node.recognition.header.files import DAMAGE
from node.stored_values.cells import UNDECODABLE
from storage.dicom_files import read_dataset

_MEASUREMENTS, _GROUP, _SEGMENT = "126010", "125007", "121191"
_METHOD, _ALGORITHM, _PARAMETER = "370129005", "111001", "111002"
_MAIN, _OTHER, _CONTRIBUTION = "AI-MAIN-MODEL", "AI-OTHER-MODEL", "AI-CONTRIBUTION"
_MINIMUM, _MAXIMUM = "255605001", "56851009"


@dataclass(frozen=True, slots=True)
class Measured:
    """A number of a tumour: what, value, unit, and on which grid; of the segmentation with that SOP Instance UID."""

    segmentation: str
    name: str
    value: float
    unit: str
    method: str


@dataclass(frozen=True, slots=True)
class Probability:
    """The answer of one model, 0 to 1; `parameters` are what the report says of it, its cut-off among them."""

    name: str
    model: str
    value: float
    is_main: bool
    parameters: dict[str, str]

    @property
    def cutoff(self) -> float | None:
        """Where its answer turns, fixed on the training cohort."""
        stated = self.parameters.get("cut-off", "")
        return float(stated) if stated else None


@dataclass(frozen=True, slots=True)
class Moved:
    """What a feature adds to the calibrated log odds of the main model, with its range in the training cohort."""

    feature: str
    value: float
    unit: str
    low: float
    high: float
    log_odds: float

    @property
    def outside(self) -> bool:
        """Whether the training cohort held no such value."""
        return not self.low <= self.value <= self.high


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence of the report, by the code of its kind, such as AI-RESULT or WARNING."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ReportRead:
    """A measurement report."""

    sop_instance_uid: str
    measured: tuple[Measured, ...]
    probabilities: tuple[Probability, ...]
    moved: tuple[Moved, ...]
    remarks: tuple[Remark, ...]


def read_report(path: Path) -> ReportRead:
    """Read a report.

    Raises:
        PermanentError: it cannot be read, or is none.
    """
    try:
        return _report(read_dataset(path))
    except UNDECODABLE as error:
        pass_on(error)
        raise PermanentError(f"the report cannot be read: {told(error, DAMAGE)}") from error


def _report(dataset: Dataset) -> ReportRead:
    measured: list[Measured] = []
    probabilities: list[Probability] = []
    moved: list[Moved] = []
    for group in (it for part in _named(dataset, _MEASUREMENTS) for it in _named(part, _GROUP)):
        segments = [it.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for it in _named(group, _SEGMENT)]
        for item in (it for it in _children(group) if it.ValueType == "NUM"):
            method = next((it.ConceptCodeSequence[0] for it in _named(item, _METHOD)), None)
            if _code(item) == _CONTRIBUTION:
                moved.append(_moved(item, measured[-1]))
            elif method is not None and method.CodeValue in (_MAIN, _OTHER):
                probabilities.append(_probability(item, method.CodeValue == _MAIN))
            else:
                segment = str(segments[0]) if segments else ""
                of_grid = str(method.CodeMeaning) if method is not None else ""
                measured.append(Measured(segment, _meaning(item), _value(item), _unit(item), of_grid))
    remarks = tuple(Remark(_code(it), str(it.TextValue)) for it in _texts(dataset))
    return ReportRead(str(dataset.SOPInstanceUID), tuple(measured), tuple(probabilities), tuple(moved), remarks)


def _probability(item: Dataset, is_main: bool) -> Probability:
    models = [str(it.TextValue) for it in _named(item, _ALGORITHM)]
    told_of = (str(it.TextValue).partition(": ") for it in _named(item, _PARAMETER))
    parameters = {key: value for key, _, value in told_of if value}
    return Probability(_meaning(item), models[0] if models else "", _value(item), is_main, parameters)


def _moved(item: Dataset, feature: Measured) -> Moved:
    limits = {_code(it): _value(it) for it in _children(item) if it.ValueType == "NUM"}
    low, high = limits[_MINIMUM], limits[_MAXIMUM]
    return Moved(feature.name, feature.value, feature.unit, low, high, _value(item))


def _texts(dataset: Dataset) -> Iterator[Dataset]:
    """Sentences that stand in a container of the root."""
    for part in _children(dataset):
        yield from (it for it in _children(part) if it.ValueType == "TEXT")


def _children(item: Dataset) -> list[Dataset]:
    return list(item.get("ContentSequence") or ())


def _named(item: Dataset, code: str) -> list[Dataset]:
    return [it for it in _children(item) if _code(it) == code]


def _code(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if item.get("ConceptNameCodeSequence") else ""


def _meaning(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def _value(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def _unit(item: Dataset) -> str:
    unit = item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    return "" if unit.CodeValue == "1" else str(unit.CodeMeaning)
