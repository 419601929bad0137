"""The model bundles that a node analyses with."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch

from models.engines.execution import Execution, Installation
from models.engines.processor import require_native
from models.manifest import Manifest, digest, load_manifest
from models.prediction.predictor import Predictor, load_predictor
from models.radiomics.extraction import require_complete
from models.segmentation.inference import Segmenter, load_segmenter
from models.signature import signer
from models.super_resolution.inference import SuperResolver, load_super_resolver
from node.planning import trained_protocols
from node.recognition.protocol import TrainedProtocol
from node.results.findings import AlgorithmIdentity
from node.settings import AnalysisSettings


class Models:
    """The bundles of a node, each loaded on first use and kept; `cache`: folder of networks converted for an engine."""

    def __init__(self, settings: AnalysisSettings, cache: Path | None = None) -> None:
        self._settings = settings
        self._installation = Installation(settings.engine, settings.precision, settings.threads, cache)
        torch.set_num_threads(settings.threads)

    @cached_property
    def super_resolver(self) -> SuperResolver:
        """Generator of the super-resolution bundle."""
        return load_super_resolver(self._settings.super_resolution, self._installation)

    @cached_property
    def segmenter(self) -> Segmenter:
        """Network of the segmentation bundle."""
        return load_segmenter(self._settings.segmentation, self._installation)

    @cached_property
    def predictor(self) -> Predictor:
        """Classifiers of the prediction bundle."""
        return load_predictor(self._settings.prediction)

    @property
    def threads(self) -> int:
        """How many threads or processes a step may use."""
        return self._settings.threads

    def check(self) -> None:
        """Load everything now, so that a fault is found before the first patient.

        Raises:
            BundleError: a bundle is missing, damaged, not signed as it has to be, or does not fit the feature
                extraction of this node.
            EngineError: the processor lacks the precision that a network is to run in.
        """
        for folder in self._settings.bundles:
            if keys := self._settings.keys_for(folder):
                signer(folder, keys)
        require_complete(self.predictor.radiomics)
        for network in (self.super_resolver, self.segmenter):
            require_native(network.execution, f"{network.manifest.name} {network.manifest.version}")
        self.identities()

    def executions(self) -> dict[str, Execution]:
        """The engine and precision of every network, by the kind of its bundle."""
        folders = (self._settings.super_resolution, self._settings.segmentation)
        manifests = (load_manifest(folder) for folder in folders)
        return {manifest.kind: self._installation.execution(manifest.execution) for manifest in manifests}

    def trained_protocols(self) -> tuple[TrainedProtocol, ...]:
        """The acquisition parameters that each bundle has seen in training."""
        return trained_protocols(self._settings.bundles)

    def identities(self) -> dict[str, AlgorithmIdentity]:
        """Name, version and digest of every bundle, by kind."""
        manifests: tuple[Manifest, ...] = (
            self.super_resolver.manifest,
            self.segmenter.manifest,
            self.predictor.manifest,
        )
        return {
            manifest.kind: AlgorithmIdentity(
                name=manifest.name,
                version=manifest.version,
                digest=digest(manifest),
                statement=manifest.intended_use,
            )
            for manifest in manifests
        }
