"""Stored series as pictures: their volumes and planes, slices as PNG, and contours of segmentations over them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Engine

from node.errors import NodeError
from node.viewing.cache import BoundedCache
from node.viewing.contours import SegmentationMask, SliceContour, contours, read_grid, read_segmentation
from node.viewing.lattice import Lattice, Orientation, Plane, PlaneShown, planes
from node.viewing.outlines import SEGMENTATIONS
from node.viewing.pixels import Preset, VolumeCache, Window, grey, png
from node.viewing.stacks import ImageStack, SeriesStacks, read_series
from storage.catalogue import retrieval
from storage.catalogue.retrieval import UniqueKeys
from storage.files import ObjectStore
from storage.ledger import Ledger
from storage.records import InstanceHeader, StoredFile

_MOST_OBJECTS = 20_000
_SERIES_KEPT = 32
_GRIDS_KEPT = 256
_MASK_BYTES_KEPT = 2**28

_Object = tuple[InstanceHeader, StoredFile]


@dataclass(frozen=True, slots=True)
class Shown:
    """A volume of a series as it can be looked at.

    `b_value` in s/mm², `time_s` from the first volume of the series on. `segmentations`: SOP Instance UIDs of those
    of the results valid now whose contours lie on it, the one that was made on its own grid first.
    """

    number: int
    key: str
    b_value: float | None
    time_s: float | None
    planes: tuple[PlaneShown, ...]
    segmentations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesShown:
    """The volumes of a series; `faults` say why parts cannot be looked at, `version` changes with files and faults."""

    series_instance_uid: str
    volumes: tuple[Shown, ...]
    faults: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class PresetList:
    """Windows to look at a volume by, the usual one first."""

    presets: tuple[Preset, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """The contours of a segmentation in the slices of a plane; `step` is the distance of its own slices, mm."""

    orientation: Orientation
    step: float
    contours: tuple[SliceContour, ...]


class Images:
    """The pictures of one storage; what was looked at last is kept."""

    def __init__(self, engine: Engine, files: ObjectStore) -> None:
        self._engine, self._files = engine, files
        self._cache = VolumeCache()
        self._series = BoundedCache[SeriesStacks](_SERIES_KEPT, lambda _: 1)
        self._grid = lru_cache(_GRIDS_KEPT)(read_grid)
        self._masks = BoundedCache[SegmentationMask](_MASK_BYTES_KEPT, lambda it: it.mask.nbytes)

    def series(self, study: str, series: str) -> SeriesShown:
        """The volumes of a series.

        Raises:
            NodeError: there is no such series, or nothing of it can be looked at.
        """
        found, version = self._stacks(study, series)
        if not found.stacks:
            why = found.faults[0] if found.faults else "it holds no images"
            raise NodeError(f"series {series}: no volume to look at: {why}")
        grids, undrawn = self._segmentations(study)
        volumes = tuple(
            Shown(
                number=stack.number,
                key=stack.key,
                b_value=stack.b_value,
                time_s=stack.time_s,
                planes=planes(stack.lattice),
                segmentations=_fitting(stack, grids),
            )
            for stack in found.stacks
        )
        return SeriesShown(series, volumes, found.faults + undrawn, version)

    def grids(self, study: str, series: str) -> tuple[Lattice, ...]:
        """The grids of the volumes of a series; none where nothing of it can be looked at, or it is not there."""
        try:
            found, _ = self._stacks(study, series)
        except NodeError:
            return ()
        return tuple(stack.lattice for stack in found.stacks)

    def presets(self, study: str, series: str, number: int) -> PresetList:
        """Windows to look at a volume by, the usual one first.

        Raises:
            NodeError: there is no such volume.
            Refusal: the pixels cannot be decoded.
        """
        stack, version = self._stack(study, series, number)
        return PresetList(self._cache.values((version, number), stack).presets)

    def picture(
        self, study: str, series: str, number: int, orientation: Orientation, index: int, window: Window
    ) -> bytes:
        """A slice as PNG, 8 bits; `index` counts slices of the plane from 0 on.

        Raises:
            NodeError: there is no such slice, or the window is none.
            Refusal: the pixels cannot be decoded.
        """
        if not (math.isfinite(window.centre) and math.isfinite(window.width) and window.width > 0):
            raise NodeError("a window has a centre and a width above 0")
        stack, version = self._stack(study, series, number)
        plane = _plane(stack, orientation)
        if not 0 <= index < plane.slices:
            raise NodeError(f"series {series}: no {orientation} slice {index}")
        values = self._cache.values((version, number), stack).values
        return png(grey(plane.cut(values, index), window))

    def outline(self, study: str, segmentation: str, orientation: Orientation) -> Outline:
        """The contours of a segmentation, by its SOP Instance UID, in a plane of its grid.

        Raises:
            NodeError: there is no such segmentation, or it cannot be drawn.
        """
        named = UniqueKeys(study_instance_uids=(study,), sop_instance_uids=(segmentation,))
        found = [file for header, file in self._objects(named) if header.sop_class_uid in SEGMENTATIONS]
        if not found:
            raise NodeError(f"{segmentation}: no segmentation of study {study}")
        path = self._files.absolute(found[-1])
        mask = self._masks.get(path, lambda: read_segmentation(path))
        plane = next(it for it in planes(mask.lattice) if it.orientation is orientation)
        return Outline(orientation, plane.step, tuple(contours(mask, plane)))

    def _stacks(self, study: str, series: str) -> tuple[SeriesStacks, str]:
        found = self._objects(UniqueKeys(study_instance_uids=(study,), series_instance_uids=(series,)))
        if not found:
            raise NodeError(f"series {series}: not in study {study}")
        paths = tuple(self._files.absolute(file) for _, file in found)
        stacks = self._series.get((series, paths), lambda: read_series(series, paths), lambda it: it.complete)
        # Faults too: without the files that were out of reach the volumes have other slices.
        content = "".join((*(file.digest for _, file in found), *stacks.faults))
        return stacks, hashlib.sha256(content.encode()).hexdigest()[:16]

    def _stack(self, study: str, series: str, number: int) -> tuple[ImageStack, str]:
        found, version = self._stacks(study, series)
        if not 0 <= number < len(found.stacks):
            raise NodeError(f"series {series}: no volume {number}")
        return found.stacks[number], version

    def _segmentations(self, study: str) -> tuple[list[tuple[str, Lattice]], tuple[str, ...]]:
        """The grids of those among the results that are valid now; sentences that say why others cannot be drawn."""
        results = Ledger(self._engine).latest_results(study)
        uids = tuple(it.sop_instance_uid for it in results if it.sop_class_uid in SEGMENTATIONS)
        grids: list[tuple[str, Lattice]] = []
        undrawn: list[str] = []
        if uids:  # of none, every object of the study would be meant
            for header, file in self._objects(UniqueKeys(study_instance_uids=(study,), sop_instance_uids=uids)):
                try:
                    grids.append((header.sop_instance_uid, self._grid(self._files.absolute(file))))
                except NodeError as error:
                    undrawn.append(f"{header.sop_instance_uid}: {error}")
                except OSError as error:  # the next look may find it
                    undrawn.append(f"{header.sop_instance_uid}: cannot be read: {error.strerror}")
        return grids, tuple(undrawn)

    def _objects(self, keys: UniqueKeys) -> Sequence[_Object]:
        with self._engine.connect() as connection:
            return retrieval.objects(connection, keys, _MOST_OBJECTS)


def _fitting(stack: ImageStack, grids: Sequence[tuple[str, Lattice]]) -> tuple[str, ...]:
    fitting = [(uid, grid) for uid, grid in grids if grid.is_parallel(stack.lattice)]
    fitting.sort(key=lambda each: not each[1].is_same_grid(stack.lattice))
    return tuple(uid for uid, _ in fitting)


def _plane(stack: ImageStack, orientation: Orientation) -> Plane:
    return next(it for it in planes(stack.lattice) if it.orientation is orientation)
