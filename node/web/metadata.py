"""The data set of a stored object in the DICOM JSON model (PS3.18 F), what is large in it by its address.

Text is made readable as in the catalogue, so that both say the same. An element that is malformed is left out; the
others are told.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import DataElement

from node.dicom.conversion.errors import ConversionError
from node.recognition.header.charsets import settle
from node.recognition.header.elements import MALFORMED
from node.web.objects import WebObject
from node.web.pixel_data import opened_little_endian, read_beginning
from storage.errors import HeaderError

log = logging.getLogger(__name__)

LONGEST_INLINE = 1024
"""Bytes of a binary value that is told as it is; of a longer one its address is."""

_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW"})
_FLOATING = frozenset({"FD", "FL", "DS"})
_CHARACTER_SET = 0x00080005


def listed(objects: Sequence[WebObject], service: str) -> Iterator[bytes]:
    """The JSON array of the data sets of objects, piece by piece; a file that cannot be read is left out and logged."""
    before = b"["
    for each in objects:
        try:
            model = metadata(each, service)
        except (HeaderError, ConversionError, OSError) as error:
            log.error("object %s: no metadata: %s", each.file.header.sop_instance_uid, error)
            continue
        yield before + encoded(model)
        before = b","
    yield b"[]" if before == b"[" else b"]"


def encoded(model: object) -> bytes:
    """JSON, as short as it can be."""
    return json.dumps(model, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def metadata(found: WebObject, service: str) -> dict[str, Any]:
    """The data set of an object.

    Args:
        found: the object.
        service: address of the DICOMweb service.

    Raises:
        HeaderError: the file is damaged.
        ConversionError: it is deflated, or big endian, and cannot be had otherwise.
        OSError: it cannot be read.
    """
    address = found.address(service)
    # Of each doubtful value pydicom warns, and repeats it.
    with warnings.catch_warnings(), opened_little_endian(found) as file:
        warnings.simplefilter("ignore")
        beginning = read_beginning(file)
        settle(beginning.dataset, nested=True)
        model = _model(beginning.dataset, f"{address}/bulkdata")
    if beginning.pixels is not None:
        tag = f"{beginning.pixels.tag:08X}"
        model[tag] = {"vr": beginning.pixels.vr, "BulkDataURI": f"{address}/bulkdata/{tag}"}
    # JSON is in UTF-8 whatever the object is in (PS3.18 F.2.2).
    model[f"{_CHARACTER_SET:08X}"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    return dict(sorted(model.items()))


def _model(dataset: Dataset, address: str) -> dict[str, Any]:
    """The elements of a data set, or of an item, whose bulk data are below an address."""
    found: dict[str, Any] = {}
    for tag in dataset.keys():  # noqa: SIM118 (elements are converted one by one)
        # Group lengths are of an encoding, not of the data set.
        if not tag.element and tag.group != 0:
            continue
        name = f"{tag:08X}"
        try:
            found[name] = _element(dataset[tag], f"{address}/{name}")
        except (*MALFORMED, RecursionError) as error:
            log.debug("element %s is malformed and left out: %s", name, type(error).__name__)
    return found


def _element(element: DataElement, address: str) -> dict[str, Any]:
    if element.VR == "SQ":
        items = [_model(item, f"{address}/{number}") for number, item in enumerate(element.value)]
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    if element.VR in _BINARY and isinstance(element.value, bytes) and len(element.value) > LONGEST_INLINE:
        return {"vr": "OW" if element.VR == "OB or OW" else str(element.VR), "BulkDataURI": address}
    model = element.to_json_dict(None, LONGEST_INLINE)
    if element.VR in _FLOATING and "Value" in model:
        model["Value"] = [None if isinstance(it, float) and not math.isfinite(it) else it for it in model["Value"]]
    return model
