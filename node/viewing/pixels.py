"""The values of a volume and how they become grey: a stated window, and the presets that a reader begins with."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset

from node.codes import Code
from node.errors import Refusal, told
from node.failure import pass_on
from node.recognition.header.elements import numbers, text
from node.recognition.header.files import DAMAGE
from node.results.window import grey_range
from node.stored_values.cells import UNDECODABLE, read_cells
from node.stored_values.scale import IDENTITY, Linear, scale_facts
from node.viewing.cache import BoundedCache
from node.viewing.stacks import ImageStack, Slice
from storage.dicom_files import read_dataset

Values = npt.NDArray[np.float32]

LARGEST_VOLUME = 2**27
"""Voxels that are decoded for a look."""

_NARROW = 0.6  # part of the automatic width


@dataclass(frozen=True, slots=True)
class Window:
    """From black to white: LINEAR_EXACT (PS3.3 C.11.2.1.3.2), in the values of the scanner after its rescale."""

    centre: float
    width: float


@dataclass(frozen=True, slots=True)
class Preset:
    """A window with a name: automatic, narrow, stored (the one in the image), full."""

    name: str
    window: Window


@dataclass(frozen=True, slots=True)
class VolumeValues:
    """The values of a volume, slices × rows × columns, and windows to look at them by, the usual one first."""

    values: Values
    presets: tuple[Preset, ...]


def grey(values: npt.NDArray[np.generic], window: Window) -> npt.NDArray[np.uint8]:
    """Values as grey levels from 0 to 255 (PS3.3 C.11.2.1.3.2), rounded to the nearest."""
    share = (values.astype(np.float64) - window.centre) / window.width + 0.5
    return np.rint(np.clip(share, 0.0, 1.0) * 255).astype(np.uint8)


def png(levels: npt.NDArray[np.uint8]) -> bytes:
    """Grey levels (rows, columns) as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def read_values(stack: ImageStack) -> VolumeValues:
    """Decode a volume; inverted images are turned back, and each slice has its own rescale.

    Raises:
        Refusal: a slice cannot be decoded, or means no grey value (`stored_values`), or the volume is too large.
    """
    columns, rows, slices = stack.lattice.size
    if columns * rows * slices > LARGEST_VOLUME:
        raise Refusal(Code.DECODE, f"a volume of {slices} × {rows} × {columns} voxels is not decoded")
    values = np.empty((slices, rows, columns), np.float32)
    by_path: dict[Path, list[tuple[int, Slice]]] = defaultdict(list)
    for place, each in enumerate(stack.slices):
        by_path[each.path].append((place, each))
    stored: Window | None = None
    for path, parts in by_path.items():
        dataset = _read(path)
        stored = stored or _stored_window(dataset)
        for place, each in parts:
            values[place] = _slice(dataset, each, values.shape[1:])
    return VolumeValues(values, tuple(_presets(values, stored)))


class VolumeCache:
    """The volumes that were looked at last, up to a number of bytes; for use by several threads."""

    def __init__(self, most_bytes: int = 2**28) -> None:
        self._kept = BoundedCache[VolumeValues](most_bytes, lambda it: it.values.nbytes)

    def values(self, key: Hashable, stack: ImageStack) -> VolumeValues:
        """The values of a volume, decoded where they are not kept; raises as `read_values`.

        `key` names the content of the files.
        """
        return self._kept.get(key, lambda: read_values(stack))


def _read(path: Path) -> Dataset:
    try:
        return read_dataset(path)
    except UNDECODABLE as error:
        pass_on(error)
        raise Refusal(Code.DECODE, told(error, DAMAGE)) from error


def _slice(dataset: Dataset, each: Slice, shape: tuple[int, ...]) -> Values:
    name = text(dataset, "SOPInstanceUID")
    cells = read_cells(dataset, each.frame, name)
    scale = _scale(dataset, each.frame, name, cells.as_stored)
    part = cells.values
    if each.tile is not None:
        row, column, rows, columns = each.tile
        part = part[row : row + rows, column : column + columns]
    if part.shape != shape:
        raise Refusal(Code.MIXED_MATRIX, f"{name}: {part.shape} pixels, expected {shape}")
    return (part.astype(np.float64) * scale.slope + scale.intercept).astype(np.float32)


def _scale(dataset: Dataset, frame: int, name: str, stored: tuple[int, int] | None) -> Linear:
    """The rescale, else the one mapping to real values that an image has, as this node's own do; else none."""
    facts = scale_facts(dataset, frame, name, stored)
    if facts.rescale is not None:
        return facts.rescale
    mapped = [it.linear for it in facts.mappings if it.linear is not None]
    return mapped[0] if len(facts.mappings) == 1 and mapped else IDENTITY


def _stored_window(dataset: Dataset) -> Window | None:
    """The first window of an image as a LINEAR_EXACT one; of classic images."""
    centres, widths = (numbers(dataset, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    if not centres or not widths:
        return None
    function = text(dataset, "VOILUTFunction") or "LINEAR"
    if function == "LINEAR_EXACT":
        return Window(centres[0], widths[0]) if widths[0] > 0 else None
    if function == "LINEAR" and widths[0] > 1:
        return Window(centres[0] - 0.5, widths[0] - 1)
    return None


def _presets(values: Values, stored: Window | None) -> list[Preset]:
    low, high = grey_range(values)
    centre, width = (low + high) / 2, high - low
    found = [Preset("automatic", Window(centre, width)), Preset("narrow", Window(centre, width * _NARROW))]
    if stored is not None:
        found.append(Preset("stored", stored))
    least, most = float(values.min()), float(values.max())
    if most > least:
        found.append(Preset("full", Window((least + most) / 2, most - least)))
    return found
