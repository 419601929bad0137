"""The models of a node as components of a CycloneDX bill of materials, each with its model card.

    python setup/sbom.py BOM.json WEIGHTS...

adds to a bill of the packages (`cyclonedx-py environment`) a component of type machine-learning-model for each bundle,
by what its manifest says (CycloneDX 1.6, modelCard).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_TASKS = {
    "super-resolution": "image super-resolution",
    "segmentation": "image segmentation",
    "prediction": "classification",
}
_MANIFEST = "manifest.json"


def component(bundle: Path) -> dict[str, Any]:
    """The component of a bundle."""
    manifest = json.loads((bundle / _MANIFEST).read_text("utf-8"))
    name, version = manifest["name"], manifest["version"]
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{name}@{version}",
        "name": name,
        "version": version,
        "description": f"{manifest['kind']}: {manifest['intended_use']}",
        "components": [
            {
                "type": "file",
                "bom-ref": f"model:{name}@{version}/{file}",
                "name": file,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
            for file, digest in sorted(manifest["files"].items())
        ],
        "modelCard": _card(manifest),
    }


def _card(manifest: Mapping[str, Any]) -> dict[str, Any]:
    sequences = [{"format": f"MR, {sequence}"} for sequence in manifest["input_sequences"]]
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": _TASKS[manifest["kind"]],
            "datasets": [{"type": "dataset", "name": "training", "description": manifest["training_data"]}],
            "inputs": sequences,
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {"type": name, "value": value} for name, value in _figures(manifest.get("metrics", {}), "")
            ]
        },
        "considerations": {"useCases": [manifest["intended_use"]]},
        "properties": [{"name": "rectal-node:command", "value": manifest["command"]}],
    }


def _figures(metrics: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Numbers by the path of their names."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _figures(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", f"{value:.6g}"


def with_models(bill: Mapping[str, Any], weights: Iterator[Path]) -> dict[str, Any]:
    """The bill with a component for each bundle, in the order of their names."""
    bundles = sorted(path.parent for folder in weights for path in folder.glob(f"*/{_MANIFEST}"))
    return {**bill, "components": [*bill.get("components", []), *map(component, bundles)]}


if __name__ == "__main__":
    written, *folders = map(Path, sys.argv[1:])
    found = with_models(json.loads(written.read_text("utf-8")), iter(folders))
    written.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
