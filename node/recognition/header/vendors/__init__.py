"""One module a manufacturer; each turns private elements and vendor habits into `VendorFacts`."""

from __future__ import annotations

from collections.abc import Callable

from pydicom import Dataset

from node.recognition.header.facts import Diffusion, Vendor, VendorFacts
from node.recognition.header.private import PrivateElements
from node.recognition.header.vendors import ge, philips, siemens, uih

Reader = Callable[[Dataset, PrivateElements, Diffusion], VendorFacts]

_READERS: dict[Vendor, Reader] = {
    Vendor.SIEMENS: siemens.read,
    Vendor.GE: ge.read,
    Vendor.PHILIPS: philips.read,
    Vendor.UIH: uih.read,
}
_CREATORS = {
    Vendor.SIEMENS: ("SIEMENS MR", "SIEMENS CSA"),
    Vendor.GE: ("GEMS_ACQU", "GEMS_PARM", "GEMS_RELA"),
    Vendor.PHILIPS: ("Philips Imaging DD", "Philips MR Imaging DD"),
    Vendor.UIH: ("Image Private Header", "Common Private Header"),
}
_NAMES = {
    Vendor.SIEMENS: ("SIEMENS",),
    Vendor.GE: ("GE MEDICAL", "GE HEALTHCARE", "GENERAL ELECTRIC"),
    Vendor.PHILIPS: ("PHILIPS",),
    Vendor.UIH: ("UIH", "UNITED IMAGING"),
}


def identify(manufacturer: str, private: PrivateElements) -> Vendor:
    """Whose header it is: by private creators, which secondary software leaves alone, else by Manufacturer."""
    for vendor, creators in _CREATORS.items():
        if private.has(*creators):
            return vendor
    name = " ".join(manufacturer.upper().split())
    return next((vendor for vendor, names in _NAMES.items() if name.startswith(names)), Vendor.OTHER)


def has_elements(vendor: Vendor, private: PrivateElements) -> bool:
    """Whether a vendor's own elements are there; true of those that nothing is known of."""
    return vendor is Vendor.OTHER or private.has(*_CREATORS[vendor])


def read(vendor: Vendor, dataset: Dataset, private: PrivateElements, standard: Diffusion) -> VendorFacts:
    """The vendor's part of the facts; `standard` holds what the standard diffusion elements say."""
    reader = _READERS.get(vendor)
    return VendorFacts(diffusion=standard) if reader is None else reader(dataset, private, standard)
