"""From a scanner's series to files: geometry, pixels and what changes from one instance to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from node.simulator.elements import copied, decimal, decimals, standard
from node.simulator.series import ScannerSeries, ScannerVolume, SlicePlace, StorageFormat, places
from node.simulator.session import Session

Tiling = Callable[[Sequence[Dataset]], Dataset]


def write_series(
    series: ScannerSeries,
    common: Dataset,
    session: Session,
    storage: StorageFormat,
    folder: Path,
    tiling: Tiling | None = None,
) -> list[Path]:
    """Write all instances of a series under ``folder/<series number>``; the paths by Instance Number.

    `tiling` makes one sheet of the slices of a volume, which is then one instance.
    """
    target = folder / f"{series.number:04d}"
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    slices = (instance for _, instance in instances(series, common, session, storage))
    for instance in slices if tiling is None else _sheets(series, slices, session, tiling):
        path = target / f"{int(instance.InstanceNumber):05d}.dcm"
        write_instance(instance, path)
        paths.append(path)
    return paths


def instances(
    series: ScannerSeries, common: Dataset, session: Session, storage: StorageFormat
) -> Iterator[tuple[ScannerVolume, Dataset]]:
    """One instance a slice, by Instance Number; the same data set is changed and yielded again within a volume.

    What holds for a volume is put together once; each instance changes only its own elements in it.
    """
    shared = _series_elements(series, common, session, storage)
    templates = [_template(series, volume, shared, storage, session) for volume in series.volumes]
    pixels = [_stored_values(volume, storage) for volume in series.volumes]
    for place in places(series):
        volume, instance = series.volumes[place.volume_index], templates[place.volume_index]
        plane = pixels[place.volume_index][place.index]
        _set_instance(instance, series, volume, place, session, storage)
        _set_pixels(instance, plane, storage)
        yield volume, instance


def _sheets(series: ScannerSeries, slices: Iterator[Dataset], session: Session, tiling: Tiling) -> Iterator[Dataset]:
    volumes: list[list[Dataset]] = [[] for _ in series.volumes]
    for place, instance in zip(places(series), slices, strict=True):
        volumes[place.volume_index].append(copied(instance))
    for number, volume in enumerate(volumes, start=1):
        sheet = tiling(volume)
        sheet.SOPInstanceUID = session.uid("instance", series.number, number)
        sheet.InstanceNumber = str(number)
        yield sheet


def write_instance(instance: Dataset, path: Path) -> None:
    """Write one instance as a DICOM file in Explicit VR Little Endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = instance.SOPClassUID
    meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta = meta
    dcmwrite(path, instance, enforce_file_format=True)


def _series_elements(series: ScannerSeries, common: Dataset, session: Session, storage: StorageFormat) -> Dataset:
    elements = Dataset()
    elements.update(common)
    elements.update(series.elements)
    begun_s = min(volume.acquired_s for volume in series.volumes)
    stored_at = session.time(series.reconstructed_s, storage.time_digits)
    elements.update(
        standard(
            {
                "SOPClassUID": MRImageStorage,
                "SeriesInstanceUID": session.uid("series", series.number),
                "SeriesNumber": str(series.number),
                "SeriesDate": session.date,
                "AcquisitionDate": session.date,
                "ContentDate": session.date,
                "InstanceCreationDate": session.date,
                "SeriesTime": session.time(begun_s, storage.time_digits),
                "ContentTime": stored_at,
                "InstanceCreationTime": stored_at,
                "SamplesPerPixel": 1,
                "PhotometricInterpretation": "MONOCHROME2",
                "BitsAllocated": 16,
                "BitsStored": storage.bits_stored,
                "HighBit": storage.bits_stored - 1,
                "PixelRepresentation": int(storage.signed),
            }
        )
    )
    return elements


def _template(
    series: ScannerSeries, volume: ScannerVolume, shared: Dataset, storage: StorageFormat, session: Session
) -> Dataset:
    columns, rows, _ = volume.image.GetSize()
    column_spacing, row_spacing, _ = volume.image.GetSpacing()
    direction = np.reshape(volume.image.GetDirection(), (3, 3))
    template = Dataset()
    template.update(shared)
    template.update(volume.elements)
    template.Rows, template.Columns = rows, columns
    template.PixelSpacing = decimals((row_spacing, column_spacing))
    # Row direction, then column direction: the first two image axes (PS3.3 C.7.6.2.1.1).
    template.ImageOrientationPatient = decimals((*direction[:, 0], *direction[:, 1]))
    return template


def _set_instance(
    instance: Dataset,
    series: ScannerSeries,
    volume: ScannerVolume,
    place: SlicePlace,
    session: Session,
    storage: StorageFormat,
) -> None:
    acquired_s = volume.acquired_s + place.index * series.slice_period_s
    instance.SOPInstanceUID = session.uid("instance", series.number, place.instance_number)
    instance.InstanceNumber = str(place.instance_number)
    instance.ImagePositionPatient = decimals(place.position)
    instance.SliceLocation = decimal(place.location)
    instance.AcquisitionTime = session.time(acquired_s, storage.time_digits)
    instance.update(series.slice_elements(volume, place))


def _stored_values(volume: ScannerVolume, storage: StorageFormat) -> npt.NDArray[np.uint16]:
    """Stored values (z, y, x): image values over the slope, rounded; saturated as a scanner's converter is."""
    values = np.rint(sitk.GetArrayViewFromImage(volume.image) / volume.slope)
    return np.asarray(np.clip(values, 0, storage.largest), dtype="<u2")


def _set_pixels(instance: Dataset, plane: npt.NDArray[np.uint16], storage: StorageFormat) -> None:
    if storage.extremes:
        instance.SmallestImagePixelValue = int(plane.min())
        instance.LargestImagePixelValue = int(plane.max())
    instance.PixelData = plane.tobytes()
