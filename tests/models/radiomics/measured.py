"""The features of one tumour, as a study is measured."""

from __future__ import annotations

import SimpleITK as sitk

from models.radiomics.parallel import Region, extract_all
from models.radiomics.settings import RadiomicsSettings


def extract(image: sitk.Image, mask: sitk.Image, settings: RadiomicsSettings, stretch: float = 1.0) -> dict[str, float]:
    return extract_all([Region("tumour", image, mask, settings, stretch)])["tumour"]
