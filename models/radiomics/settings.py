"""The settings of feature extraction, read from YAML and handed to pyradiomics as they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import ModelError
from models.radiomics.t2_contrast import SpinEcho

INTENSITY_CLASSES = ("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm")
SHIPPED = Path(__file__).with_name("settings.yaml")


class RadiomicsSettings(BaseModel):
    """One way to compute features. Spacings are in x, y, z order; a resampled spacing of 0 keeps the axis.

    A prediction bundle holds the settings of its features as a YAML file. The digest is over all fields: one more
    field, and no bundle fits its digest any longer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resampled_spacing_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    interpolator: Literal["sitkBSpline", "sitkLinear", "sitkNearestNeighbor"] = "sitkBSpline"
    pad_voxels: int = Field(default=15, ge=1)
    surroundings_mm: float | None = Field(default=None, gt=0)  # None: intensities stay as they are
    surroundings_percentile: float = Field(default=99.0, gt=0, le=100)
    scale: float = Field(default=1000.0, gt=0)
    t2wi_reference: SpinEcho | None = None  # None: T2WI keeps the contrast of its protocol
    eroded_mm: float = Field(default=0.0, ge=0)
    bin_count: int | None = Field(default=None, ge=4, le=256)
    bin_width: float | None = Field(default=None, gt=0)
    bin_share: float | None = Field(default=None, gt=0, lt=1)
    image_types: dict[Literal["Original", "LoG", "Wavelet"], dict[str, Any]]

    @model_validator(mode="after")
    def _one_discretisation(self) -> RadiomicsSettings:
        if sum(it is not None for it in (self.bin_count, self.bin_width, self.bin_share)) != 1:
            raise ValueError("exactly one of bin_count, bin_width and bin_share must be given")
        return self

    @property
    def digest(self) -> str:
        """sha256 over the canonical JSON of the values: comments and order in the YAML do not matter."""
        document = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(document.encode()).hexdigest()

    @property
    def as_acquired(self) -> RadiomicsSettings:
        """The same without resampling: features of the voxels as the scanner made them."""
        return self.model_copy(update={"resampled_spacing_mm": (0.0, 0.0, 0.0)})

    def by_image_type(self) -> tuple[RadiomicsSettings, ...]:
        """The same for one image type each."""
        return tuple(self.model_copy(update={"image_types": {name: it}}) for name, it in self.image_types.items())

    def pyradiomics(self, bin_width: float | None = None) -> dict[str, Any]:
        """The same settings as a pyradiomics parameter document (`imageType`, `featureClass`, `setting`).

        `bin_width`: of one tumour, where it is a share of the tumour's median (`models.radiomics.preparation`).
        """
        setting: dict[str, Any] = {
            "padDistance": self.pad_voxels,
            "label": 1,
            "additionalInfo": False,
        }
        setting |= {"binCount": self.bin_count} if self.bin_count else {"binWidth": bin_width or self.bin_width or 1.0}
        if any(self.resampled_spacing_mm):
            setting |= {
                "resampledPixelSpacing": list(self.resampled_spacing_mm),
                "interpolator": self.interpolator,
            }
        else:
            setting["preCrop"] = True  # as resampling does: filters see the tumour and `pad_voxels` around it
        return {
            "imageType": {name: dict(options) for name, options in self.image_types.items()},
            "featureClass": {name: None for name in ("shape", *INTENSITY_CLASSES)},
            "setting": setting,
        }


def load_settings(path: Path = SHIPPED) -> RadiomicsSettings:
    """Settings from a YAML file; an unknown key or impossible value is a `ModelError` naming file and key."""
    try:
        return RadiomicsSettings.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ModelError(f"{path.name}: not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        raise ModelError(f"{path.name}: {key}: {first['msg']}") from error
