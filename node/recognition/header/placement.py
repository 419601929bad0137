"""Where a frame lies, from the Image Plane module (PS3.3 C.7.6.2) or the macros that hold its elements.

Lengths are mm, positions and directions LPS.
"""

from __future__ import annotations

from pydicom import Dataset

from node.recognition.header import elements as read
from node.recognition.header.facts import AcquiredMatrix, Placement, Vector


def placement(
    dataset: Dataset,
    position: Vector | None,
    orientation: tuple[float, ...],
    measures: Dataset,
    stack: str,
    acquired: AcquiredMatrix | None,
) -> Placement | None:
    """Where a frame lies, or None where the header does not say; `measures` holds Pixel Spacing."""
    rows, columns = read.integer(dataset, "Rows"), read.integer(dataset, "Columns")
    spacing = read.numbers(measures, "PixelSpacing")
    if position is None or len(orientation) != 6 or len(spacing) != 2 or not rows or not columns:
        return None
    return Placement(
        rows=rows,
        columns=columns,
        spacing=(spacing[0], spacing[1]),
        position=position,
        row_direction=(orientation[0], orientation[1], orientation[2]),
        column_direction=(orientation[3], orientation[4], orientation[5]),
        thickness_mm=read.number(measures, "SliceThickness"),
        frame_of_reference_uid=read.uid(dataset, "FrameOfReferenceUID"),
        stack=stack,
        acquired=acquired,
    )


def acquired_matrix(dataset: Dataset) -> AcquiredMatrix | None:
    """The phase encoding of a classic image, or of a frame of which `dataset` is MR FOV/Geometry Sequence.

    Acquisition Matrix: frequency rows, frequency columns, phase rows, phase columns; one of each pair is 0.
    """
    measured = [int(number) for number in read.numbers(dataset, "AcquisitionMatrix") if number > 0]
    if not measured:
        steps = ("MRAcquisitionFrequencyEncodingSteps", "MRAcquisitionPhaseEncodingStepsInPlane")
        measured = [count for count in (read.integer(dataset, keyword) for keyword in steps) if count]
    if len(measured) != 2 or min(measured) <= 0:
        return None
    axis = read.text(dataset, "InPlanePhaseEncodingDirection").upper()
    along_row = {"ROW": True, "COL": False, "COLUMN": False}.get(axis)
    share = (read.number(dataset, "PercentPhaseFieldOfView") or 0) / 100
    return AcquiredMatrix(read_out=measured[0], phase=measured[1], phase_along_row=along_row, phase_share=share)
