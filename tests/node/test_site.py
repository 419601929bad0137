"""What a site sets reaches its results, and results under other settings are other objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.analysis.workflow import settings_digest, site_of
from node.results.identity import Site
from node.settings import Settings, load_settings

KEYS = ('time_zone = "Asia/Shanghai"', 'institution = "Our Hospital"', "[results]\nname_patient = false")


def settings(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_settings(path)


def test_what_a_site_sets_is_what_its_results_are_made_with(tmp_path):
    told = settings(tmp_path, 'uid_root = "1.2.3."\n' + "\n".join(KEYS))
    assert site_of(told) == Site("1.2.3.", "Our Hospital", "Asia/Shanghai", name_patient=False)


@pytest.mark.parametrize("key", KEYS)
def test_each_of_it_changes_the_digest_that_uids_depend_on(tmp_path, key):
    assert settings_digest(settings(tmp_path, key)) != settings_digest(settings(tmp_path, ""))
