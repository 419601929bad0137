"""`rectal-node backup` and `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import CONFIG, ConfigOption, JsonOption, node_settings, show, this_user, watched

if TYPE_CHECKING:
    from node.operations.backup import BackedUp
    from node.operations.restore import Restored

app = typer.Typer()

_MOST_NAMED = 20


@app.command()
def backup(
    path: Annotated[Path, typer.Argument(help="An empty folder, or one with a backup of before: only what is new.")],
    config: ConfigOption = CONFIG,
    link: Annotated[bool, typer.Option("--link", help="Hard links in place of copies: the same file system.")] = False,
    files_only_list: Annotated[
        bool, typer.Option("--files-only-list", help="Databases, and the list of files with digests alone.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Back the node up, which may run: databases as they are at one moment, and all files that they name."""
    from node.operations.backup import Keep, back_up

    if link and files_only_list:
        raise typer.BadParameter("either --link or --files-only-list", param_hint="--link")
    keep = Keep.LINKS if link else Keep.LIST if files_only_list else Keep.COPIES
    done = back_up(node_settings(config), path, keep, watched("files"), this_user())
    show(done, as_json, _backed_up)
    raise typer.Exit(1 if done.faults else 0)


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(help="The folder of a backup.")],
    root: Annotated[Path | None, typer.Option(help="An empty folder; else the root of the configuration.")] = None,
    config: ConfigOption = CONFIG,
    files: Annotated[Path | None, typer.Option(help="Where the files lie, if not in the backup.")] = None,
    hold_deliveries: Annotated[
        bool, typer.Option("--hold-deliveries", help="Send nothing of what was open until `resend` orders it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a node back from a backup onto a root that is empty; every file is compared with its digest."""
    from node.operations.restore import restore as put_back
    from storage.privacy import keep_private

    keep_private()
    settings = node_settings(config) if root is None or config.exists() else None
    target = root if root is not None or settings is None else settings.root
    assert target is not None
    url = settings.database_url if settings is not None else ""
    done = put_back(backup, target, url, files, hold_deliveries, watched("files"))
    show(done, as_json, _restored)
    raise typer.Exit(1 if done.faults else 0)


def _backed_up(it: BackedUp) -> str:
    kept = {"copies": "", "links": ", as hard links", "list": ", listed and not copied"}[it.kept]
    text = f"{it.path}: {it.files} files ({it.size / 1e9:.1f} GB){kept}; {it.added} of them new"
    unrecorded = [f"that it was made is not on record: {it.unrecorded}"] if it.unrecorded else []
    return "\n".join((text, *unrecorded, *_faults(it.faults)))


def _restored(it: Restored) -> str:
    moment = f"{it.made_at:%Y-%m-%d %H:%M:%S} UTC"
    lines = [f"{it.root}: {it.files} files ({it.size / 1e9:.1f} GB), as of {moment}"]
    if it.open_deliveries and it.held:
        lines.append(f"{it.open_deliveries} deliveries were open: nothing is sent of them until `resend` orders it")
    elif it.open_deliveries:
        lines.append(f"{it.open_deliveries} deliveries were open and are made now: those made since are made again")
    if it.studies_under_way:
        lines.append(
            f"{it.studies_under_way} studies were under way and are analysed again; results of them that were sent "
            "since are sent again, under the same UIDs"
        )
    lines.append("what came since is not here: have it sent again, or fetch it (`retrieve`)")
    return "\n".join((*lines, *_faults(it.faults)))


def _faults(faults: dict[str, str]) -> list[str]:
    named = [f"not whole: {path}: {why}" for path, why in list(faults.items())[:_MOST_NAMED]]
    more = len(faults) - len(named)
    return [*named, *([f"and {more} more"] if more else [])]
