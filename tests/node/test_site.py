"""What a site sets reaches its results, and results under other settings are other objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.engines.execution import Engine, Execution, Precision
from node.analysis.bundles import Models
from node.analysis.identity import settings_digest, site_of
from node.results.identity import Site
from node.settings import RecognitionRule, RecognitionSettings, Settings, SiteRule, load_settings

RUN = {"super-resolution": Execution(), "segmentation": Execution()}
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
    assert settings_digest(settings(tmp_path, key), RUN) != settings_digest(settings(tmp_path, ""), RUN)


@pytest.mark.parametrize("change", [{"engine": Engine.TORCH}, {"precision": Precision.BFLOAT16}])
@pytest.mark.parametrize("kind", RUN)
def test_so_do_engine_and_precision_of_each_network(kind, change):
    other = RUN | {kind: RUN[kind].model_copy(update=change)}
    assert settings_digest(Settings(), other) != settings_digest(Settings(), RUN)


def test_an_engine_that_is_set_and_the_same_one_that_a_bundle_names_give_the_same_uids(tmp_path):
    by_bundle = Models(Settings().analysis).executions()
    named = next(iter(by_bundle.values())).engine
    told = settings(tmp_path, f'[analysis]\nengine = "{named}"')
    assert settings_digest(told, Models(told.analysis).executions()) == settings_digest(Settings(), by_bundle)


def test_the_digest_of_a_configuration_is_the_one_that_it_had_in_november_2026():
    """UIDs of results derive from it: as long as it stands, an analysis that is repeated makes the same objects."""
    assert settings_digest(Settings(), RUN) == "a5444b233993cab1235a0d3c5519351e40315f009bfb7ac207e9d4842a98cd28"
    rule = RecognitionRule(
        name="r",
        finding="T2WI",
        when={"te_ms": {"min": 3}, "x": "y", "z": ["a", "b"], "t": True, "n": 2, "m": {"matches": "q"}},
    )
    site = SiteRule(name="a", manufacturer="SIEMENS", injection_s=3.0)
    recognition = RecognitionSettings(site_rules=(site,), rules=(rule,), words={"t2": ("a", "b")})
    digest = settings_digest(Settings(recognition=recognition), RUN)
    assert digest == "7844664de4c405a71feeae13c58626a44c75a2f26462206b7a594896cab52d17"


def test_a_key_that_is_not_on_the_list_changes_no_digest():
    class Later(RecognitionSettings):
        """A later release's section."""

        a_key_of_a_later_release: int = 3

    later = Settings.model_construct(**{**dict(Settings()), "recognition": Later()})
    assert later.recognition.model_dump()["a_key_of_a_later_release"] == 3
    assert settings_digest(later, RUN) == settings_digest(Settings(), RUN)
