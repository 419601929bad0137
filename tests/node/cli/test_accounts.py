"""`rectal-node account` and `rectal-node find`: the same answers as the page has."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli.main import app
from node.operations import accounts
from storage.catalogue.filling import catch_up
from storage.database import open_engine

from ...storage.house import House, a_file


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text('root = "data"\n[web]\nport = 8088\n')
    return path


def run(config: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--config", str(config)])
    assert result.exit_code == 0, result.output
    return result.stdout


def engine_of(config: Path):
    return open_engine(f"sqlite:///{config.parent}/data/index.sqlite")


def test_an_account_is_made_with_a_link_that_sets_its_password(config):
    printed = run(config, "account", "add", "eva", "--role", "operator")
    address = printed.split()[0]
    assert address.startswith("http://127.0.0.1:8088/welcome/")
    assert "not yet" in run(config, "account", "list")
    accounts.set_password(engine_of(config), address.rpartition("/")[2], "a password of these tests")
    (line,) = json.loads(run(config, "account", "list", "--json"))["accounts"]
    assert (line["name"], line["role"], line["has_password"]) == ("eva", "operator", True)


def test_an_account_is_removed_and_a_new_link_is_made(config):
    for name in ("eva", "vera"):
        link = json.loads(run(config, "account", "add", name, "--role", "operator", "--json"))
        accounts.set_password(engine_of(config), link["path"].rpartition("/")[2], "a password of these tests")
    assert "/welcome/" in run(config, "account", "link", "vera")
    assert run(config, "account", "remove", "eva") == "account eva is removed\n"
    assert CliRunner().invoke(app, ["account", "remove", "eva", "--config", str(config)]).exit_code == 1


def test_find_shows_whose_studies_are_and_takes_no_text_for_markup(config):
    engine = engine_of(config)
    house = House(engine, config.parent / "data", lambda _: datetime(2026, 1, 2, tzinfo=UTC))
    house.receive(a_file(1, 1, "1.2.3", StudyDescription="[bold]pelvis"))
    house.receive(a_file(1, 1, "1.2.4", PatientName="Müller^Änne", PatientID="P2"))
    catch_up(engine, house.files)
    text = run(config, "find", "--patient", "muster")
    assert "Muster^Erika" in text
    assert "[bold]" in text
    (found,) = json.loads(run(config, "find", "--patient", "MULLER", "--json"))["studies"]
    assert found["study"]["study_instance_uid"] == "1.2.4"
    assert run(config, "find", "--patient", "nobody") == "no study fits\n"
