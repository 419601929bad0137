"""A whole stack through the generator in tiles of bounded memory; deterministic, seam free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch.nn.utils import convert_conv3d_weight_memory_format

from models import bundle, interruption
from models.engines.execution import AS_BUNDLED, Execution, Installation
from models.engines.forward import Forward, forward_of
from models.engines.openvino_forward import Conversion
from models.errors import BundleError
from models.manifest import Manifest
from models.super_resolution.consistency import PROFILE, agree, profile_of
from models.super_resolution.degradation import Factor, SliceProfile
from models.super_resolution.network import Convolutions, Generator, build_generator, fold_pixels
from models.super_resolution.normalisation import Modality, intensity_range
from models.volume import Float32, Grid, check_volume, divided, grid_of, image_from

KIND = "super-resolution"
#: Voxels of the thick grid in one tile: about 160 MB for each live activation of 32 float32 features, folded 2 x 2.
#: Smaller tiles pay for their margins: a third of this took half as long again for 24 x 448 x 448.
TILE_VOXELS = 5_000_000


@dataclass(frozen=True, slots=True)
class SuperResolver:
    """A loaded super-resolution bundle; `convolve` runs `network.convolved` by the engine of `execution`."""

    manifest: Manifest
    network: Generator
    convolve: Forward
    execution: Execution


def load_super_resolver(folder: Path, installation: Installation = AS_BUNDLED) -> SuperResolver:
    """The super-resolver of the bundle in `folder`. Raises BundleError when the bundle is not whole."""
    manifest, network = bundle.load_weights(folder, build_generator, KIND)
    if not isinstance(network, Generator):
        raise BundleError(f"bundle {folder.name}: no generator")
    convert_conv3d_weight_memory_format(network, torch.channels_last_3d)
    execution = installation.execution(manifest.execution)
    channels = network.fold**2
    conversion = Conversion(
        lambda: Convolutions(network),
        bundle.network_of(manifest),
        (Convolutions.__module__, bundle.__name__),
        example=(1, channels, 4, 8, 8),
        accepted=(1, channels, -1, -1, -1),
    )
    return SuperResolver(manifest, network, forward_of(conversion, execution, installation), execution)


@dataclass(frozen=True, slots=True)
class Refined:
    """The network's output for a stack before it is brought into agreement with it; both scaled to 0 to about 1.

    made: thin voxels (z, y, x); values, trust: the thick ones and the network's trust in them; scale, offset: back to
    the input's intensities; grid: of the result.
    """

    made: Float32
    trust: Float32
    values: Float32
    scale: float
    offset: float
    grid: Grid
    factor: Factor


def super_resolve(
    image: sitk.Image,
    resolver: SuperResolver,
    on_progress: Callable[[float], None] | None = None,
    *,
    modality: Modality = Modality.MR,
    denoise: bool = True,
    thickness_mm: float | None = None,
) -> sitk.Image:
    """The stack divided by the bundle's factor over the same extent (float32, intensities of the input).

    Edge aligned: the first voxel centre moves by d * (t - s) / 2 along each refined axis d, from spacing s to t.
    Averaged over the slice profile the result returns the input: without what the network takes for noise, or exactly
    with `denoise=False`. The profile is as wide as the slices are thick (`thickness_mm`), or as they are apart when
    that is None. Values stay non-negative where the input's are. `on_progress` hears the share done, 0 to 1.
    Raises VolumeError when the image is not 3D, empty or not finite.
    """
    refined = refine(image, resolver, on_progress, modality)
    return in_agreement(refined, denoise, profile_of(thickness_mm, image.GetSpacing()[2]))


def refine(
    image: sitk.Image,
    resolver: SuperResolver,
    on_progress: Callable[[float], None] | None = None,
    modality: Modality = Modality.MR,
) -> Refined:
    """The first half of `super_resolve`, which takes the time."""
    check_volume(image)
    values = sitk.GetArrayFromImage(sitk.Cast(image, sitk.sitkFloat32))
    factor = resolver.network.factor
    low, high = intensity_range(values, modality)
    scale = high - low if high > low else 1.0
    scaled = ((values - low) / scale).astype(np.float32)
    if high > low:
        made, trust = _in_tiles(scaled, resolver, on_progress)
    else:
        made, trust = scaled.repeat(factor[2], 0).repeat(factor[1], 1).repeat(factor[0], 2), np.ones_like(scaled)
    return Refined(made, trust, scaled, scale, low, divided(grid_of(image), factor), factor)


def in_agreement(refined: Refined, denoise: bool, profile: SliceProfile = PROFILE) -> sitk.Image:
    """The second half of `super_resolve`; `profile`: what the slices have seen."""
    arrays = (refined.made, refined.values, refined.trust)
    thin, thick, trust = (torch.from_numpy(array)[None, None] for array in arrays)
    agreed = agree(thin, thick, refined.factor, trust if denoise else 1.0, profile)
    made = agreed[0, 0].numpy()
    made *= refined.scale
    made += refined.offset
    if refined.values.min() * refined.scale + refined.offset >= 0:
        np.maximum(made, 0, out=made)
    return image_from(made, refined.grid)


def _in_tiles(
    values: Float32, resolver: SuperResolver, on_progress: Callable[[float], None] | None
) -> tuple[Float32, Float32]:
    """Strips of rows with a margin as wide as the network's reach: equal to one pass over the whole stack."""
    network = resolver.network
    slices, rows, columns = values.shape
    x, y, z = network.factor
    made, trust = np.empty((slices * z, rows * y, columns * x), np.float32), np.empty_like(values)
    for kept, seen in _strips(rows, slices * columns, network.reach, network.fold):
        interruption.check()
        tile = torch.from_numpy(np.ascontiguousarray(values[:, seen]))[None, None]
        found = resolver.convolve(fold_pixels(tile, network.fold).numpy())
        thin, sure = (it[0, 0].numpy() for it in network.unfolded(tile, *map(torch.from_numpy, found)))
        inner = slice(kept.start - seen.start, kept.stop - seen.start)
        made[:, kept.start * y : kept.stop * y] = thin[:, inner.start * y : inner.stop * y]
        trust[:, kept] = sure[:, inner]
        if on_progress is not None:
            on_progress(kept.stop / rows)
    return made, trust


def _strips(rows: int, voxels_per_row: int, reach: int, fold: int) -> Iterator[tuple[slice, slice]]:
    """(rows kept, rows seen) of each strip, the latter with the margin; all start where the network folds."""
    height = TILE_VOXELS // voxels_per_row
    if height < rows:
        height = max(1, (height - 2 * reach) // fold) * fold
    for start in range(0, rows, height):
        stop = min(rows, start + height)
        yield slice(start, stop), slice(max(0, start - reach), min(rows, stop + reach))
