"""`rectal-node account`: who may look at the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from node.cli.options import CONFIG, ConfigOption, JsonOption, node_settings, show, this_user
from storage.accounts import AccountRole

if TYPE_CHECKING:
    from node.operations.accounts import AccountList, Link

app = typer.Typer(no_args_is_help=True, help="Who may look at the page: add, link, list, remove.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the account.")]


@app.command()
def add(
    name: NameArgument,
    config: ConfigOption = CONFIG,
    role: Annotated[AccountRole, typer.Option(help="What it may do: a viewer gives no orders.")] = AccountRole.VIEWER,
    as_json: JsonOption = False,
) -> None:
    """Make an account; prints the link by which the person sets a password, once."""
    from node.operations import accounts
    from storage.database import open_engine

    settings = node_settings(config)
    made = accounts.add(open_engine(settings.storage_url), name, role, this_user())
    show(made, as_json, lambda it: _link(it, settings.web.address))


@app.command()
def link(name: NameArgument, config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """Print a new link for an account, such as that of somebody who has forgotten the password."""
    from node.operations import accounts
    from storage.database import open_engine

    settings = node_settings(config)
    made = accounts.link(open_engine(settings.storage_url), name, this_user())
    show(made, as_json, lambda it: _link(it, settings.web.address))


@app.command("list")
def list_accounts(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """List the accounts."""
    from node.operations import accounts
    from storage.database import open_engine

    show(accounts.accounts(open_engine(node_settings(config).storage_url)), as_json, _table)


@app.command()
def remove(name: NameArgument, config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """Remove an account; its sessions end at once."""
    from node.operations import accounts
    from storage.database import open_engine

    removed = accounts.remove(open_engine(node_settings(config).storage_url), name, this_user())
    show(removed, as_json, lambda it: f"account {it.account} is removed")


def _link(made: Link, address: str) -> Text:
    return Text(
        f"{address}{made.path}\nsets the password of {made.account}, once, until {made.expires_at:%Y-%m-%d %H:%MZ}"
    )


def _table(found: AccountList) -> RenderableType:
    if not found.accounts:
        return Text("no accounts: the first start with web.page = true makes one")
    table = Table()
    for name in ("name", "role", "password", "made"):
        table.add_column(name, overflow="fold")
    for it in found.accounts:
        password = "at the provider" if it.at_provider else "set" if it.has_password else "not yet"
        table.add_row(Text(it.name), it.role, password, f"{it.created_at:%Y-%m-%d}")
    return table
