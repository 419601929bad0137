"""Pictures of frames (PS3.18 8.3.5, 10.4.1.1.3): as the image, or the request, says that it is looked at."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from starlette.requests import Request
from starlette.responses import Response

from node.dicom.conversion.errors import ConversionError
from node.recognition.header.elements import MALFORMED
from node.web.media_types import accepted
from node.web.objects import WebObject, damage_told
from node.web.pixel_data import frames_of, opened_little_endian
from node.web.problems import MalformedError, NotAcceptableError, NotHereError, ProblemError
from storage.dicom_files import read_dataset

THUMBNAIL = (200, 200)
"""Columns and rows that a thumbnail fits in."""

LARGEST = 4096
"""Columns and rows of a picture."""

_PICTURES = {"image/jpeg": "JPEG", "image/png": "PNG"}
_PDF = "application/pdf"
_FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
_Pixels = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Window:
    """Centre and width of a window in the request, and its function (PS3.3 C.11.2.1)."""

    centre: float
    width: float
    function: str


@dataclass(frozen=True, slots=True)
class View:
    """How a picture is wanted: in which columns and rows it fits, None: in its own; the quality of JPEG in percent."""

    window: Window | None = None
    size: tuple[int, int] | None = None
    quality: int = 90


def rendered_answer(request: Request, found: WebObject, numbers: Sequence[int] | None) -> Response:
    """A picture of a frame; without a number the one in the middle. Of an encapsulated PDF document, the PDF.

    Raises:
        ProblemError: there is none, or none that is accepted.
    """
    return _answer(request, found, numbers, _view(request))


def thumbnail_answer(request: Request, found: WebObject, numbers: Sequence[int] | None) -> Response:
    """A small picture; raises as `rendered_answer`."""
    view = _view(request)
    return _answer(request, found, numbers, View(view.window, view.size or THUMBNAIL, view.quality))


def _answer(request: Request, found: WebObject, numbers: Sequence[int] | None, view: View) -> Response:
    if numbers is not None and len(numbers) != 1:
        raise MalformedError("one frame is rendered at a time")
    ranges = accepted(request)
    dataset, count = _header(found)
    if "EncapsulatedDocument" in dataset and dataset.get("MIMETypeOfEncapsulatedDocument") == _PDF:
        if not any(each.takes(_PDF, multipart=False) for each in ranges):
            raise NotAcceptableError(_PDF)
        return Response(bytes(dataset.EncapsulatedDocument), media_type=_PDF)
    media_type = next((name for each in ranges for name in _PICTURES if each.takes(name, multipart=False)), None)
    if media_type is None:
        raise NotAcceptableError(" or ".join(_PICTURES))
    number = numbers[0] if numbers else count // 2 + 1 if count > 1 else 1
    if number > count:
        raise NotHereError(f"frame {number} of {count}")
    picture = _picture(found, dataset, number, view)
    out = io.BytesIO()
    picture.save(out, _PICTURES[media_type], quality=view.quality)
    return Response(out.getvalue(), media_type=media_type)


def _header(found: WebObject) -> tuple[Dataset, int]:
    """The header of an object, and how many frames it has.

    Raises:
        HeaderError: it is damaged.
        OSError: the file cannot be read.
    """
    with damage_told():
        dataset = read_dataset(found.path, stop_before_pixels=True)
        return dataset, int(dataset.get("NumberOfFrames") or 1)


def _picture(found: WebObject, dataset: Dataset, number: int, view: View) -> Image.Image:
    try:
        if dataset.get("SamplesPerPixel", 1) == 1:
            with frames_of(found) as frames:
                picture_values = _grey(frames.grey(number), _of_frame(dataset, number), view.window)
        else:
            picture_values = _colours(found, number)
    except OSError:
        raise
    except (ConversionError, *MALFORMED, RuntimeError) as error:
        raise ProblemError(406, f"frame {number} has no picture: {type(error).__name__}") from error
    picture = Image.fromarray(_to_bytes(picture_values))
    size = view.size or (LARGEST, LARGEST)
    scale = min(size[0] / picture.width, size[1] / picture.height)
    if view.size or scale < 1:
        picture = picture.resize((max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)))
    return picture


def _colours(found: WebObject, number: int) -> _Pixels:
    """RGB; that a frame is no larger than the image says is looked at before, by decoding it."""
    with frames_of(found) as frames:
        frames.decoded(number)
    with opened_little_endian(found) as file:
        return pixel_array(file, index=number - 1)


def _grey(pixels: _Pixels, dataset: Dataset, window: Window | None) -> _Pixels:
    """Values from 0 to 255, or colours of a palette."""
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        return apply_color_lut(pixels, dataset)
    values = apply_modality_lut(pixels, dataset)
    if window is not None:
        dataset.WindowCenter, dataset.WindowWidth = window.centre, window.width
        dataset.VOILUTFunction = window.function
        values = apply_voi_lut(values, dataset, prefer_lut=False)
    elif "WindowWidth" in dataset or "VOILUTSequence" in dataset:
        values = apply_voi_lut(values, dataset)
    inverted = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    return _spread(values, inverted)


def _spread(values: _Pixels, inverted: bool) -> _Pixels:
    real = values.astype(np.float64)
    low, high = float(real.min()), float(real.max())
    spread = (real - low) / (high - low or 1.0) * 255
    return 255 - spread if inverted else spread


def _to_bytes(pixels: _Pixels) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint16:
        pixels = pixels.astype(np.float64) / 257
    return np.clip(np.rint(pixels.astype(np.float64)), 0, 255).astype(np.uint8)


def _of_frame(dataset: Dataset, number: int) -> Dataset:
    """The header, with what the functional groups of a frame say of its values (PS3.3 C.7.6.16.2)."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    groups = [*shared[:1], *frames[number - 1 : number]]
    for group in groups:
        for keyword in _GROUPS:
            for item in (group.get(keyword) or [])[:1]:
                dataset.update(item)
    return dataset


def _view(request: Request) -> View:
    """The view that query parameters ask for.

    Raises:
        MalformedError: one of them cannot be read.
    """
    said = request.query_params
    window = viewport = None
    if "window" in said:
        centre, width, function = _three(said["window"])
        window = Window(centre, width, function)
    if "viewport" in said:
        viewport = _viewport(said["viewport"])
    quality = said.get("quality", "90")
    if not quality.isdecimal() or not 1 <= int(quality) <= 100:
        raise MalformedError("quality is a number from 1 to 100")
    return View(window, viewport, int(quality))


def _three(text: str) -> tuple[float, float, str]:
    parts = text.split(",")
    try:
        centre, width, function = float(parts[0]), float(parts[1]), _FUNCTIONS[(parts[2:] or ["linear"])[0].lower()]
    except (ValueError, IndexError, KeyError) as error:
        raise MalformedError("window is centre,width,function; functions are linear, linear-exact, sigmoid") from error
    if len(parts) > 3 or not math.isfinite(centre) or not math.isfinite(width) or width < 1:
        raise MalformedError("window is centre,width,function; a width is 1 or more")
    return centre, width, function


def _viewport(text: str) -> tuple[int, int]:
    """Columns and rows; parts of the image cannot be asked for."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.isdecimal() and 1 <= int(part) <= LARGEST for part in parts):
        raise MalformedError(f"viewport is columns,rows of the picture, each from 1 to {LARGEST}")
    return int(parts[0]), int(parts[1])
