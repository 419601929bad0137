"""What a site sets reaches its results, and results under other settings are other objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.analysis.identity import settings_digest, site_of
from node.results.identity import Site
from node.settings import RecognitionRule, RecognitionSettings, Settings, SiteRule, load_settings

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


def test_the_digest_of_a_configuration_is_the_one_that_it_had_in_november_2026():
    """UIDs of results derive from it: as long as it stands, an analysis that is repeated makes the same objects."""
    assert settings_digest(Settings()) == "09652f7ee061639e0ef325cf91a20e9fa064698217139c31d8e606a1ee1a7119"
    rule = RecognitionRule(
        name="r",
        finding="T2WI",
        when={"te_ms": {"min": 3}, "x": "y", "z": ["a", "b"], "t": True, "n": 2, "m": {"matches": "q"}},
    )
    site = SiteRule(name="a", manufacturer="SIEMENS", injection_s=3.0)
    recognition = RecognitionSettings(site_rules=(site,), rules=(rule,), words={"t2": ("a", "b")})
    digest = settings_digest(Settings(recognition=recognition))
    assert digest == "8bc461f9ad2294f8cb50ded521383d2363c4de2521c291a9344e9010d6b98dbc"


def test_a_key_that_is_not_on_the_list_changes_no_digest():
    class Later(RecognitionSettings):
        """A later release's section."""

        a_key_of_a_later_release: int = 3

    later = Settings.model_construct(**{**dict(Settings()), "recognition": Later()})
    assert later.recognition.model_dump()["a_key_of_a_later_release"] == 3
    assert settings_digest(later) == settings_digest(Settings())
