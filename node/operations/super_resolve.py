"""One volume outside the storage of the node through the super-resolution alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import SimpleITK as sitk
import torch

from models.engines.execution import Installation
from models.engines.processor import require_native
from models.manifest import digest
from models.sequence import Sequence, analysed
from models.super_resolution.inference import SuperResolver, load_super_resolver, super_resolve
from models.super_resolution.normalisation import Modality
from models.volume_files import read, write
from node.codes import Code
from node.errors import NodeError
from node.recognition.header import patient_mix
from node.recognition.header.facts import Fault, FrameFacts
from node.recognition.header.files import files_in
from node.recognition.header.frames import read_frames, unreadable
from node.recognition.header.words import Words, words
from node.recognition.plan import stack_of
from node.recognition.record import Stack
from node.recognition.volumes.stacks import Volume, split_series
from node.results import derived_mr
from node.results.encode import write_object
from node.results.findings import AlgorithmIdentity, SequenceResult
from node.results.identity import SUPER_RESOLUTION, Identity, Site
from node.results.source import read_frames as read_sources
from node.results.source import read_header
from node.settings import Settings
from node.volumes import assemble

_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")


@dataclass(frozen=True, slots=True)
class SuperResolved:
    """A result that was written: a volume file, or, where `images` is above 0, so many DICOM images in a folder."""

    target: Path
    images: int = 0


def run(source: Path, target: Path, settings: Settings, modality: str, sequence: str, denoise: bool) -> SuperResolved:
    """Super-resolve `source` to `target`.

    A folder of MR images becomes a derived MR series where `target` is a folder, everything else a volume file.

    Raises:
        NodeError: an unknown modality or sequence, a folder without exactly one whole volume, or a target that does
            not fit the source.
        VolumeError: the file cannot be read as a volume.
        BundleError: the bundle is missing or damaged.
        EngineError: the processor lacks the precision that the network is to run in.
    """
    kind, role = _modality(modality), _sequence(sequence)
    said = settings.analysis
    torch.set_num_threads(said.threads)
    installation = Installation(said.engine, said.precision, said.threads)
    resolver = load_super_resolver(said.super_resolution, installation)
    require_native(resolver.execution, resolver.manifest.name)
    as_file = target.name.endswith(_SUFFIXES)
    if not source.is_dir():
        if not as_file:
            raise NodeError(f"{target}: a volume file becomes a volume file: {', '.join(_SUFFIXES)}")
        write(super_resolve(read(source), resolver, modality=kind, denoise=denoise), target)
        return SuperResolved(target)
    volume = _only_volume(source, settings)
    kind = _modality(volume.first.header.modality)
    stack = stack_of(role, volume, None)
    acquired = assemble(stack)
    thickness_mm = stack.acquisition.slice_thickness_mm
    made = super_resolve(acquired, resolver, modality=kind, denoise=denoise, thickness_mm=thickness_mm)
    if as_file:
        write(made, target)
        return SuperResolved(target)
    if kind is not Modality.MR:
        raise NodeError(f"{target}: only MR is written as DICOM, {kind} as a volume file: {', '.join(_SUFFIXES)}")
    identity = _identity(stack, resolver, denoise, settings)
    return SuperResolved(target, _write_series(stack, acquired, made, identity, target))


def _only_volume(folder: Path, settings: Settings) -> Volume:
    """The one volume of the images in a folder."""
    vocabulary = words(settings.recognition.words_of_site)
    files = files_in(folder)
    found = [_frames_of(file, vocabulary) for file in files]
    frames: list[FrameFacts] = [frame for facts in found if not isinstance(facts, Fault) for frame in facts]
    if patient_mix.select("", tuple(frames), None).fault is not None:
        raise NodeError(f"{folder}: {Code.PATIENT_MIX}: the images name more than one patient; give the folder of one")
    volumes = split_series(tuple(frames))
    if len(volumes) != 1:
        raise NodeError(f"{folder}: one volume is needed, {len(volumes)} are there; give the folder of one series")
    fault = volumes[0].fault
    if fault is not None or volumes[0].geometry is None:
        raise NodeError(f"{folder}: {fault.sentence if fault else 'the images form no regular stack'}")
    return volumes[0]


def _frames_of(file: Path, vocabulary: Words) -> tuple[FrameFacts, ...] | Fault:
    """The facts of a file; one that the operating system does not give may be a slice, so nothing is made without."""
    try:
        return read_frames(file, vocabulary)
    except OSError as error:
        raise NodeError(f"{file.parent}: {unreadable(file, error).sentence}") from error


def _write_series(stack: Stack, acquired: sitk.Image, made: sitk.Image, identity: Identity, target: Path) -> int:
    """The derived MR series of a stack; returns the number of images."""
    nothing = sitk.Image(acquired.GetSize(), sitk.sitkUInt8)
    result = SequenceResult(stack.role, stack, acquired, made, nothing, None, 0.0, {})
    role = derived_mr.series_facts(result).role
    target.mkdir(parents=True, exist_ok=True)
    images = derived_mr.derived_images(result, read_sources(stack, identity), identity)
    for number, (image, _) in enumerate(images, start=1):
        write_object(image, role, target / f"{role}-{number:04d}.dcm", identity)
    return int(made.GetDepth())


def _identity(stack: Stack, resolver: SuperResolver, denoise: bool, settings: Settings) -> Identity:
    """The same files, bundle and options give the same UIDs; the date is that of the newest file."""
    paths = list(dict.fromkeys(frame.path for frame in stack.frames))
    manifest = resolver.manifest
    bundle = AlgorithmIdentity(manifest.name, manifest.version, digest(manifest), manifest.intended_use)
    site = Site(settings.uid_root, settings.institution, settings.time_zone)
    return Identity(
        site=site,
        study_instance_uid=str(read_header(paths[0]).StudyInstanceUID),
        input_digest=_digest(paths),
        settings_digest=f"{bundle.digest} {resolver.execution} {settings.analysis.threads} {denoise=} {site.canonical}",
        created_at=datetime.fromtimestamp(max(path.stat().st_mtime for path in paths), UTC),
        algorithms=((SUPER_RESOLUTION, bundle),),
    )


def _digest(paths: SequenceOf[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(path.read_bytes())
    return total.hexdigest()


def _modality(name: str) -> Modality:
    try:
        return Modality(name)
    except ValueError as error:
        raise NodeError(f"{name!r} is none of {', '.join(Modality)}") from error


def _sequence(name: str) -> Sequence:
    try:
        return analysed(name)
    except ValueError as error:
        raise NodeError(str(error)) from error
