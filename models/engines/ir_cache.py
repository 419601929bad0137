"""Converted networks as files: OpenVINO's representation, an XML text and the weights that belong to it, in one zip.

A file is named after what it was made from, written under another name and renamed: processes that convert at the same
time write the same, and none reads half of it. One that is damaged, by its checksums, is made anew.
"""

from __future__ import annotations

import logging
import os
import tempfile
import uuid
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_XML, _WEIGHTS = "model.xml", "model.bin"
#: What zipfile raises on a file that is cut off or holds other bits.
_DAMAGE = (OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError, NotImplementedError, EOFError, RuntimeError)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Representation:
    """A converted network: its layers as XML, and its weights."""

    xml: bytes
    weights: bytes


def kept(folder: Path | None, digest: str, convert: Callable[[], Representation]) -> Representation:
    """The network of `digest` from `folder`; by `convert` where it is not there or damaged.

    A folder that cannot be written costs a conversion at the next start, and a warning.
    """
    path = None if folder is None else folder / f"{digest}.zip"
    if path is not None and (found := _read(path)) is not None:
        return found
    made = convert()
    if path is not None:
        try:
            _write(path, made)
        except OSError as error:
            _log.warning("%s: the converted network cannot be kept: %s", path, error.strerror)
    return made


def _read(path: Path) -> Representation | None:
    try:
        with zipfile.ZipFile(path) as archive:  # reading compares CRC-32
            return Representation(archive.read(_XML), archive.read(_WEIGHTS))
    except FileNotFoundError:
        return None
    except _DAMAGE as error:
        _log.warning("%s: damaged, converted anew: %s", path, error)
        return None


def represented(model: Any) -> Representation:  # noqa: ANN401 - an openvino.Model
    """A model as it is kept."""
    from models.engines.openvino_library import openvino

    with tempfile.TemporaryDirectory() as scratch:
        xml, weights = Path(scratch) / _XML, Path(scratch) / _WEIGHTS
        openvino.serialize(model, xml, weights)  # save_model would round the weights to float16
        return Representation(xml.read_bytes(), weights.read_bytes())


def _write(path: Path, made: Representation) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{uuid.uuid4().hex}.partial")
    try:
        with zipfile.ZipFile(partial, "w") as archive:
            archive.writestr(_XML, made.xml)
            archive.writestr(_WEIGHTS, made.weights)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
