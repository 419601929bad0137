"""`rectal-node models`: what is configured, what lies on disk, whether it can be used, and adding a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.cli.options import CONFIG, ConfigOption, JsonOption, out, show
from node.operations import bundles
from node.operations.bundles import Bundle, Bundles
from node.settings import AnalysisSettings, load_settings

app = typer.Typer(no_args_is_help=True, help="Model bundles: list, verify, add.")


@app.command("list")
def list_bundles(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders with bundles, beside the configured ones.")
    ] = None,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show every bundle that is configured or lies beside one that is; reads manifests only."""
    show(bundles.described(load_settings(config).analysis, folders or ()), as_json, _listed)


@app.command()
def verify(
    folders: Annotated[list[Path] | None, typer.Argument(help="Bundles or folders of bundles; else all known.")] = None,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Load every bundle strictly: digests, tensors, radiomics settings. One line each; fails if one is not good."""
    # Bundles that are named need no configuration.
    settings = AnalysisSettings() if folders and not config.exists() else load_settings(config).analysis
    found = bundles.verified(settings, folders or ())
    show(found, as_json, _verified)
    raise typer.Exit(1 if any(bundle.fault for bundle in found.bundles) else 0)


@app.command()
def add(
    source: Annotated[Path, typer.Argument(help="A bundle: a folder, or a zip file with one in it.")],
    to: Annotated[Path, typer.Option(help="Folder of bundles that it is copied into.")] = Path("models/weights"),
    keys: Annotated[
        list[Path] | None,
        typer.Option(
            "--key", help="Public key (PEM) that it has to be signed by; else those of analysis.trusted_keys."
        ),
    ] = None,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Verify a bundle and its signature, copy it, and say which key of config.toml makes the node use it."""
    trusted = keys or (load_settings(config).analysis.trusted_keys if config.exists() else ())
    added = bundles.add(source, to, trusted)
    show(added, as_json, lambda it: _block(it.bundle))
    if not as_json:
        section, key = added.key.split(".")
        folder = added.bundle.folder.absolute()
        lines = ["Verified. To use it, in config.toml:", "", f"[{section}]", f'{key} = "{folder}"']
        out.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _listed(found: Bundles) -> Group:
    return Group(*(_block(bundle) for bundle in found.bundles))


def _verified(found: Bundles) -> Text:
    lines = [
        Text(f"{it.folder}: {it.fault}", style="red")
        if it.fault
        else Text(f"{it.folder}: good; {it.kind} {it.name} {it.version} ({it.digest[:12]})")
        for it in found.bundles
    ]
    return Text("\n").join(lines)


def _block(bundle: Bundle) -> RenderableType:
    if bundle.fault:
        return Text(f"{bundle.folder}: {bundle.fault}\n", style="red")
    head = Text(f"{bundle.name} {bundle.version}", style="bold")
    head.append(f"  {bundle.kind}, digest {bundle.digest[:12]}", style="not bold")
    details = Table.grid(padding=(0, 2, 0, 0))
    for name, value in (
        ("  used as", " ".join(bundle.used_as) or "not used"),
        ("  folder", str(bundle.folder)),
        ("  training data", bundle.training_data),
        ("  intended use", bundle.intended_use),
    ):
        details.add_row(name, Text(value, overflow="fold"))
    return Group(head, details, Text(""))
