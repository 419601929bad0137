"""`rectal-node models`: what is configured, what lies on disk, whether it can be used, and adding a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from models.errors import BundleError
from models.manifest import Manifest, digest, load_manifest
from node.settings import AnalysisSettings, load_settings

app = typer.Typer(no_args_is_help=True, help="Model bundles: list, verify, add.")
out = Console()

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="Configuration file.")]
CONFIG = Path("config.toml")
#: Kind of a bundle -> key of [analysis].
KEYS = {"super-resolution": "super_resolution", "segmentation": "segmentation", "prediction": "prediction"}


@app.command("list")
def show(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders with bundles, beside the configured ones.")
    ] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Show every bundle that is configured or lies beside one that is; reads manifests only."""
    settings = load_settings(config).analysis
    for folder in _known(settings, folders or []):
        used = [f"analysis.{key}" for key in KEYS.values() if _same(getattr(settings, key), folder)]
        try:
            out.print(_block(load_manifest(folder), folder, " ".join(used)), highlight=False)
        except BundleError as error:
            out.print(f"[red]{folder}: {error}[/red]\n", highlight=False, soft_wrap=True)


@app.command()
def verify(
    folders: Annotated[list[Path] | None, typer.Argument(help="Bundles or folders of bundles; else all known.")] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Load every bundle strictly: digests, tensors, radiomics settings. One line each; fails if one is not good."""
    # Torch, MONAI and catboost take seconds to import; `list` does without them.
    from models import installation

    wanted = [found for folder in folders or () for found in installation.bundles_in(folder) or (folder,)]
    faulty = 0
    for folder in wanted or _known(load_settings(config).analysis, []):
        try:
            manifest = installation.verify(folder)
        except BundleError as error:
            faulty += 1
            out.print(f"[red]{folder}: {error}[/red]", highlight=False, soft_wrap=True)
        else:
            name = f"{manifest.name} {manifest.version} ({digest(manifest)[:12]})"
            out.print(f"{folder}: good; {manifest.kind} {name}", highlight=False, soft_wrap=True)
    raise typer.Exit(1 if faulty else 0)


@app.command()
def add(
    source: Annotated[Path, typer.Argument(help="A bundle: a folder, or a zip file with one in it.")],
    to: Annotated[Path, typer.Option(help="Folder of bundles that it is copied into.")] = Path("models/weights"),
) -> None:
    """Verify a bundle, copy it, and say which key of config.toml makes the node use it."""
    from models import installation

    place, manifest = installation.add(source, to)
    out.print(_block(manifest, place, ""), highlight=False)
    lines = ["Verified. To use it, in config.toml:", "", "[analysis]", f'{KEYS[manifest.kind]} = "{place.absolute()}"']
    out.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _block(manifest: Manifest, folder: Path, used: str) -> Group:
    head = Text(f"{manifest.name} {manifest.version}", style="bold")
    head.append(f"  {manifest.kind}, digest {digest(manifest)[:12]}", style="not bold")
    details = Table.grid(padding=(0, 2, 0, 0))
    for name, value in (
        ("  used as", used or "not used"),
        ("  folder", str(folder)),
        ("  training data", manifest.training_data),
        ("  intended use", manifest.intended_use),
    ):
        details.add_row(name, Text(value, overflow="fold"))
    return Group(head, details, Text(""))


def _known(settings: AnalysisSettings, folders: list[Path]) -> list[Path]:
    """The configured bundles, those that lie beside them, and those in `folders`, each once."""
    found = [*settings.bundles]
    for folder in [*(bundle.parent for bundle in settings.bundles), *folders]:
        found += sorted(
            path.parent for path in (folder / "manifest.json", *folder.glob("*/manifest.json")) if path.exists()
        )
    unique: dict[Path, Path] = {}
    for folder in found:
        unique.setdefault(folder.resolve(), folder)
    return list(unique.values())


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
