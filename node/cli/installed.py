"""The installation: the versions that decide results, and the shipped configuration."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import node
from models.engines.processor import computes_bfloat16
from node.errors import NodeError
from node.results.identity import PRODUCT, product_version

#: Line of [analysis] for a processor that lacks what the shipped bundles are run in.
FLOAT32 = 'precision = "float32"'
#: Distributions whose release can change a result; pyradiomics, which has more than one name, comes beside them.
_LIBRARIES = (
    "torch",
    "openvino",
    "monai",
    "SimpleITK",
    "numpy",
    "scipy",
    "catboost",
    "highdicom",
    "pydicom",
    "pynetdicom",
)


def versions() -> Iterator[tuple[str, str]]:
    """Name and version: the node, Python, then the libraries. Those of torch say which build it is."""
    from models.radiomics.provenance import pyradiomics

    yield PRODUCT, product_version()
    yield "Python", platform.python_version()
    yield from ((name, metadata.version(name)) for name in _LIBRARIES)
    yield pyradiomics()


def configuration_for_this_machine() -> str:
    """The shipped configuration; on a processor without bfloat16 it sets float32, which is then written down.

    Raises:
        NodeError: the installation lacks the file.
    """
    text = shipped_configuration()
    return text if computes_bfloat16() else text.replace(f"# {FLOAT32}", FLOAT32)


def shipped_configuration() -> str:
    """The text of the config.toml of this installation: every key, its default and its reason.

    Raises:
        NodeError: the installation lacks the file.
    """
    # A checkout has it beside the package and may be newer than its installation; a wheel has put it elsewhere.
    checkout = Path(node.__file__).parents[1] / "config.toml"
    installed = (file.locate() for file in metadata.files(PRODUCT) or () if file.match(f"{PRODUCT}/config.toml"))
    for path in (checkout, *map(Path, map(str, installed))):
        if path.is_file():
            return path.read_text("utf-8")
    raise NodeError(f"{PRODUCT} {product_version()}: no config.toml was installed with it; install it again")
