"""Candidates for a role: volumes of the finding that fills it, and what makes one unusable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.codes import Code
from node.recognition.header.facts import Fault, Vendor
from node.recognition.rules import site
from node.recognition.rules.findings import Finding
from node.recognition.rules.series import Series, SeriesVolume, volumes_of
from node.recognition.volumes.stacks import Volume, VolumeKey
from node.settings import RecognitionSettings


@dataclass(frozen=True, slots=True)
class Candidates:
    """Volumes of one finding: those that could fill its role, and why the others cannot."""

    usable: tuple[SeriesVolume, ...]
    passed_over: Mapping[VolumeKey, Fault]

    def without(self, faults: Mapping[VolumeKey, Fault | None]) -> Candidates:
        """Those that are left when those with a fault are passed over, too."""
        left = tuple(entry for entry in self.usable if faults.get(entry.key) is None)
        found = {key: fault for key, fault in faults.items() if fault is not None}
        return Candidates(left, {**self.passed_over, **found})


def candidates(series: tuple[Series, ...], finding: Finding, settings: RecognitionSettings) -> Candidates:
    """The volumes of a finding, parted by whether they could fill a role."""
    volumes = volumes_of(series, finding)
    return Candidates(volumes, {}).without({entry.key: unusable(entry.volume, settings) for entry in volumes})


def unusable(volume: Volume, settings: RecognitionSettings) -> Fault | None:
    """Why a volume cannot fill any role, whatever it is."""
    header, geometry = volume.first.header, volume.geometry
    if not site.accepts_body_part(header, settings):
        return Fault(Code.BODY_PART, f"Body Part Examined is {header.body_part}")
    if header.vendor is Vendor.OTHER:
        return Fault(Code.VENDOR_UNKNOWN, f"no profile for manufacturer {header.manufacturer or '(not named)'!r}")
    if volume.fault is not None:
        return volume.fault
    if len(volume.frames) < settings.minimum_slices:
        return Fault(Code.FEW_SLICES, f"{len(volume.frames)} slices; at least {settings.minimum_slices} are needed")
    if volume.plane != "axial":
        return Fault("", f"{volume.plane} ({volume.angle_deg:.0f}° off axis); the axial series is wanted")
    if geometry and geometry.overlaps and volume.first.sequence.acquisition_type == "2D":
        return Fault(Code.STACK_OVERLAP, f"2D slices overlap: step {geometry.slice_step_mm:.2f} mm below thickness")
    return None
