"""Features of many volumes in several processes: pyradiomics holds the interpreter's lock, threads gain nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from multiprocessing.connection import Connection

import numpy as np
import SimpleITK as sitk

from models import interruption
from models.errors import ProcessKilledError
from models.processes import end_processes, end_with_parent
from models.radiomics.extraction import features_of, require_complete
from models.radiomics.preparation import Prepared, prepare
from models.radiomics.settings import RadiomicsSettings

#: Until the next safe point while no piece ends.
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Region:
    """A tumour to measure: image and mask on one grid, the name that its features go by, and what its contrast is
    stretched by."""

    name: str
    image: sitk.Image
    mask: sitk.Image
    settings: RadiomicsSettings
    stretch: float = 1.0


@dataclass(frozen=True, slots=True)
class _Piece:
    """One image type of a prepared region: what one process works on at a time."""

    region: str
    prepared: Prepared
    settings: RadiomicsSettings
    shape: bool

    def measured(self) -> dict[str, float]:
        return features_of(self.prepared, self.settings, self.shape)


def extract_all(
    regions: Iterable[Region], workers: int = 1, on_progress: Callable[[float], None] | None = None
) -> dict[str, dict[str, float]]:
    """`features_of` every region by its name; with more than one of `workers` in as many processes, which stay.

    `on_progress` hears the share of the work done, 0 to 1. Raises `VolumeError` when the grids of image and mask
    differ, `ModelError` when pyradiomics has silently lost a filter or a feature class, and `ProcessKilledError` when
    a process was killed; the next call starts new ones. One that is interrupted ends the processes at once.
    """
    listed = list(regions)
    for settings in {region.settings.digest: region.settings for region in listed}.values():
        require_complete(settings)
    found: dict[str, dict[str, float]] = {region.name: {} for region in listed}
    filled = [region for region in listed if np.any(sitk.GetArrayViewFromImage(region.mask))]
    total = sum(len(region.settings.image_types) for region in filled)
    in_turn = ((piece.region, piece.measured()) for piece in _pieces(filled))
    measured = in_turn if workers == 1 else _at_once(_pieces(filled), workers)
    for done, (name, values) in enumerate(measured, start=1):
        found[name] |= values
        if on_progress is not None:
            on_progress(done / total)
    return found


def _pieces(regions: Iterable[Region]) -> Iterator[_Piece]:
    """The largest volumes first, so that no process ends with a long piece alone."""
    for region in sorted(regions, key=lambda region: -region.image.GetNumberOfPixels()):
        interruption.check()
        prepared = prepare(region.image, region.mask, region.settings, region.stretch)
        for number, settings in enumerate(region.settings.by_image_type()):
            yield _Piece(region.name, prepared, settings, shape=number == 0)


def _at_once(pieces: Iterable[_Piece], workers: int) -> Iterator[tuple[str, dict[str, float]]]:
    kept = _pool(workers)
    waiting: dict[Future[dict[str, float]], str] = {}
    try:
        waiting |= {kept.pool.submit(piece.measured): piece.region for piece in pieces}
        while waiting:
            interruption.check()
            for future in wait(waiting, _LOOK_S, FIRST_COMPLETED).done:
                yield waiting.pop(future), future.result()
    except BrokenProcessPool as error:
        _pool.cache_clear()
        interruption.check()  # another study, which was interrupted first, has ended them
        raise ProcessKilledError(
            "a process of the feature extraction was killed, as happens when memory is short"
        ) from error
    except interruption.Interrupted:
        _pool.cache_clear()
        end_processes(kept.end)  # the interpreter would not end before the pieces that they have
        waiting.clear()  # of a pool whose processes have gone none may be cancelled
        raise
    finally:
        for future in waiting:
            future.cancel()


@dataclass(frozen=True, slots=True)
class _Pool:
    """Processes that end, whatever they do, by `end_processes` of `end`."""

    pool: ProcessPoolExecutor
    end: Connection


@lru_cache(maxsize=1)
def _pool(workers: int) -> _Pool:
    """Kept: a process takes longer to start than a sequence to measure."""
    context = get_context("spawn")  # forking a process whose torch has already computed deadlocks
    watched, end = context.Pipe(duplex=False)
    return _Pool(ProcessPoolExecutor(workers, context, _start, (watched,)), end)


def _start(watched: Connection) -> None:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    end_with_parent(watched)
