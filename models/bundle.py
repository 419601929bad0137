"""Weights of a bundle: safetensors, loaded strictly. Nothing is unpickled, no missing or surplus tensor is tolerated.

Bundles with files of another kind (boosted trees, say) share manifest and digests: `models.manifest`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from models.errors import BundleError
from models.manifest import Manifest, manifest_of

WEIGHTS_NAME = "weights.safetensors"


def weights_of(manifest: Manifest) -> str:
    """Name, version and digest of the weights, for what is made from them."""
    return f"{manifest.name} {manifest.version} {manifest.files[WEIGHTS_NAME]}"


def network_of(manifest: Manifest) -> str:
    """What decides the network of a bundle: its weights, and what it is built from."""
    built_from = {"architecture": manifest.architecture, "factor": manifest.factor}
    return f"{weights_of(manifest)} {json.dumps(built_from, sort_keys=True)} {len(manifest.input_sequences)}"


def load_weights(folder: Path, build: Callable[[Manifest], nn.Module], kind: str) -> tuple[Manifest, nn.Module]:
    """Manifest and network (evaluation mode, CPU) of the bundle in `folder`.

    `build` makes the untrained network from the manifest, whose kind must be `kind`.
    Raises BundleError on a wrong kind, digest, tensor name or tensor shape.
    """
    manifest = manifest_of(folder, kind, WEIGHTS_NAME)
    try:
        state = load_file(folder / WEIGHTS_NAME)
    except SafetensorError as error:
        raise BundleError(f"bundle {folder.name}: {WEIGHTS_NAME} is not a safetensors file") from error
    network = _build(folder, manifest, build)
    _check_state(folder, state, network.state_dict())
    network.load_state_dict(state, strict=True)
    return manifest, network.eval()


def _build(folder: Path, manifest: Manifest, build: Callable[[Manifest], nn.Module]) -> nn.Module:
    try:
        return build(manifest)
    except (TypeError, ValueError, KeyError) as error:
        raise BundleError(f"bundle {folder.name}: its architecture cannot be built: {error}") from error


def _check_state(folder: Path, found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Says the first difference in words; `load_state_dict` alone would list hundreds of lines."""
    if missing := sorted(wanted.keys() - found.keys()):
        raise BundleError(f"bundle {folder.name}: tensor {missing[0]} is missing")
    if surplus := sorted(found.keys() - wanted.keys()):
        raise BundleError(f"bundle {folder.name}: tensor {surplus[0]} is not part of the network")
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            raise BundleError(
                f"bundle {folder.name}: tensor {name} has shape {tuple(found[name].shape)}, "
                f"the network needs {tuple(tensor.shape)}"
            )
