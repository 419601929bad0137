"""Names and versions of programs in results of this node: those of the product, not those of a site's own models."""

from __future__ import annotations

import json
import re
from functools import cache

from pydicom import Dataset

from node.results.identity import PRODUCT
from node.settings import SHIPPED

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+){0,3}(?:[a-z]+[0-9]*)?")
_OF_MODELS = frozenset({"SegmentAlgorithmName", "AlgorithmName", "AlgorithmVersion"})
_OF_EQUIPMENT = frozenset({"ManufacturerModelName", "SoftwareVersions"})


def names_program(keyword: str, owner: Dataset) -> bool:
    """Whether an attribute of a result names a program, or its version, and not the scanner's."""
    return keyword in _OF_MODELS or (keyword in _OF_EQUIPMENT and owner.get("Manufacturer") == PRODUCT)


def is_of_the_product(text: str) -> bool:
    """Whether a text is the name of the product, of a model that comes with it, a version, or a name and a version."""
    name, _, version = text.strip().rpartition(" ")
    is_version = _VERSION.fullmatch(version) is not None
    return version in _names() if not name and not is_version else is_version and (not name or name in _names())


@cache
def _names() -> frozenset[str]:
    return frozenset(
        {PRODUCT, *(str(json.loads(path.read_bytes())["name"]) for path in SHIPPED.glob("*/manifest.json"))}
    )
