"""Bundles as a training writes them: the files, then the manifest with their digests; `models` only reads them."""

from __future__ import annotations

from pathlib import Path

import yaml
from catboost import CatBoostClassifier
from safetensors.torch import save_file
from torch import nn

from models.bundle import WEIGHTS_NAME
from models.manifest import MANIFEST_NAME, Manifest, file_digest
from models.prediction.predictor import CATALOGUE_NAME, RADIOMICS_NAME
from models.prediction.records import Catalogue
from models.radiomics.settings import RadiomicsSettings


def save_manifest(folder: Path, manifest: Manifest, names: tuple[str, ...]) -> Manifest:
    """Writes `manifest.json` with the digests of the files `names`, which must already lie in `folder`."""
    files = {name: file_digest(folder / name) for name in names}
    complete = manifest.model_copy(update={"files": files})
    (folder / MANIFEST_NAME).write_text(complete.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return complete


def save_weights(folder: Path, manifest: Manifest, network: nn.Module) -> Manifest:
    """Writes the network's state as safetensors and the manifest with its digest; returns that manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(state, folder / WEIGHTS_NAME, metadata={"name": manifest.name, "version": manifest.version})
    return save_manifest(folder, manifest, (WEIGHTS_NAME,))


def save_settings(settings: RadiomicsSettings, path: Path) -> None:
    """Write settings as the YAML file that `models.radiomics.settings.load_settings` reads."""
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def save_predictor(
    folder: Path,
    manifest: Manifest,
    catalogue: Catalogue,
    classifiers: tuple[CatBoostClassifier, ...],
    settings: RadiomicsSettings,
) -> Manifest:
    """Write models, catalogue, radiomics settings and manifest; returns the manifest with the digests of the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for card, classifier in zip(catalogue.models, classifiers, strict=True):
        classifier.save_model(str(folder / card.file), format="cbm")
    (folder / CATALOGUE_NAME).write_text(catalogue.model_dump_json(indent=2) + "\n", encoding="utf-8")
    save_settings(settings, folder / RADIOMICS_NAME)
    return save_manifest(folder, manifest, (CATALOGUE_NAME, RADIOMICS_NAME, *(card.file for card in catalogue.models)))
