"""The table that names a volume: what a site may add to it, and what of it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.sequence import Sequence
from node.errors import ConfigurationError
from node.recognition.rules import table
from node.recognition.rules.findings import Confidence, Finding
from node.recognition.rules.volume_facts import FACTS, VolumeFacts
from node.settings import RecognitionSettings, load_settings


def site(tmp_path: Path, text: str) -> RecognitionSettings:
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path).recognition


def rule(name: str, finding: str, *lines: str) -> str:
    return "\n".join(("[[recognition.rules]]", f"name = '{name}'", f"finding = '{finding}'", *lines, ""))


def verdict_on(plan, description: str):
    return next(verdict for verdict in plan.verdicts if description in verdict.description)


def test_every_fact_that_rules_may_name_has_words_for_people():
    assert set(FACTS) == set(VolumeFacts.__dataclass_fields__)


def test_the_shipped_table_passes_the_checks_that_a_site_s_rules_have_to_pass():
    table.check(RecognitionSettings())


def test_a_new_rule_of_a_site_stands_before_the_shipped_ones(tmp_path, series_of, recognised):
    own = rule(
        "thin axial T2 is a planning stack", "UNWANTED", "when.spin_echo = true", "when.thickness_mm = { max = 6 }"
    )
    verdict = verdict_on(recognised(series_of("Skyra", "t2_tse_tra"), site(tmp_path, own)), "t2_tse_tra")
    assert not verdict.used
    assert verdict.rule == "thin axial T2 is a planning stack"
    assert "of the site says so" in verdict.reason


def test_a_rule_of_a_known_name_takes_its_place(tmp_path, series_of, recognised):
    own = rule("T2 TSE", "T2_TSE", "when.spin_echo = true", "when.te_ms = { min = 90, max = 250 }")
    settings = site(tmp_path, own)
    names = [row.name for row in table.table(settings)]
    assert names == [row.name for row in table.table(RecognitionSettings())]
    assert recognised(series_of("Skyra", "t2_tse_tra"), settings).stack(Sequence.T2WI) is None


def test_a_rule_can_stand_before_another(tmp_path):
    settings = site(tmp_path, rule("ours", "UNWANTED", "when.slices = 3", "before = 'STIR'"))
    names = [row.name for row in table.table(settings)]
    assert names.index("ours") == names.index("STIR") - 1


def test_text_may_narrow_a_rule(tmp_path, series_of, recognised):
    own = rule("navigators", "UNWANTED", "when.spin_echo = true", "when.description = { matches = 'TRA$' }")
    assert recognised(series_of("Skyra", "t2_tse_tra"), site(tmp_path, own)).stack(Sequence.T2WI) is None


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (rule("a", "T2", "when.spin_echo = true"), 3, "unknown finding 'T2'; did you mean T2_"),
        (rule("a", "T2_TSE", "when.te = { min = 60 }"), 4, "unknown fact 'te'; did you mean te_ms?"),
        (rule("a", "T2_TSE", "when.spin_echo = 1"), 4, "true or false is wanted"),
        (rule("a", "T2_TSE", "when.te_ms = 'long'"), 4, "a number or"),
        (rule("a", "T2_TSE", "when.spin_echo = true", "when.kind = 'ADC'"), 5, "'ADC' is none of"),
        (rule("a", "T2_TSE", "when.spin_echo = true", "when.description = 't2'"), 5, "{ matches ="),
        (
            rule("a", "T2_TSE", "when.description = { matches = 't2' }"),
            4,
            "text and circumstances alone decide nothing",
        ),
        (rule("a", "DWI", "when.vendor = 'UIH'", "when.field_strength_t = 3"), 4, "alone decide nothing"),
        (rule("a", "DWI", "when.spin_echo = true", "before = 'T3'"), 5, "no rule is called 'T3'"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_its_line(tmp_path, text, line, why):
    settings = site(tmp_path, text)
    with pytest.raises(ConfigurationError) as refused:
        table.check(settings)
    assert str(refused.value).startswith(f"{tmp_path / 'site.toml'}:{line}: recognition.rules 'a': ")
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_words_for_a_meaning_that_does_not_exist_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="unknown meaning 'localiser'"):
        table.check(site(tmp_path, "[recognition.words]\nlocaliser = ['x']"))


def test_a_site_s_words_are_added_to_the_shipped_ones(tmp_path, series_of, recognised):
    few = series_of("Skyra", "t2_tse_tra")[:4]
    for instance in few:
        instance.SeriesDescription = "scanogram"
    settings = site(tmp_path, "[recognition.words]\nlocalizer = ['scanogram']")
    assert "localizer" in recognised(few, settings).verdicts[0].reason
    assert "localizer" not in recognised(few).verdicts[0].reason


def test_every_condition_stands_in_the_record_with_wanted_and_found(series_of, recognised):
    verdict = recognised(series_of("Multiva", "T2W_TSE_tra")).verdicts[0]
    found = {entry.fact: (entry.wanted, entry.found) for entry in verdict.evidence}
    assert found["echo time"] == ("60 to 250 ms", "70 ms")
    assert found["spin echo"] == ("yes", "yes")
    assert all(entry.held for entry in verdict.evidence)


def test_a_rule_that_failed_by_one_number_is_a_near_miss(series_of, recognised):
    t2 = series_of("Skyra", "t2_tse_tra")
    for instance in t2:
        instance.EchoTime = "45"
    (verdict,) = recognised(t2).verdicts
    (miss,) = [miss for miss in verdict.near_misses if miss.finding is Finding.T2_TSE]
    assert [(entry.fact, entry.found) for entry in miss.failed] == [("echo time", "45 ms")]


def test_a_plain_series_is_known_with_high_confidence(series_of, recognised):
    verdict = recognised(series_of("Skyra", "t2_tse_tra")).verdicts[0]
    assert (verdict.confidence, verdict.doubts) == (Confidence.HIGH, ())


@pytest.mark.parametrize(
    ("change", "confidence", "doubt"),
    [
        (lambda each: delattr(each, "EchoTrainLength"), Confidence.MEDIUM, "echo train length is not stated"),
        (lambda each: each.remove_private_tags(), Confidence.MEDIUM, "private elements of Siemens were removed"),
        (lambda each: setattr(each, "SeriesDescription", "t1_tse_tra"), Confidence.LOW, "its name says t1"),
        (lambda each: setattr(each, "SeriesDescription", "t2_tse_sag"), Confidence.LOW, "its name says sagittal"),
    ],
)
def test_what_lowers_the_confidence_is_named(series_of, recognised, change, confidence, doubt):
    t2 = series_of("Skyra", "t2_tse_tra")
    for instance in t2:
        instance.ProtocolName = ""
        change(instance)
    verdict = recognised(t2).verdicts[0]
    assert verdict.used
    assert verdict.confidence is confidence
    assert doubt in " ".join(verdict.doubts)


def test_a_map_that_only_its_name_tells_is_a_doubt(series_of, recognised):
    verdict = recognised(series_of("uMR 770", "ADC")).verdicts[0]
    assert verdict.role == "ADC"
    assert "only the name of the series" in " ".join(verdict.doubts)


def test_no_rule_that_applies_is_low_confidence(series_of, recognised):
    odd = series_of("Skyra", "t2_tse_tra")
    for instance in odd:
        instance.EchoTime = "55"
    assert recognised(odd).verdicts[0].confidence is Confidence.LOW
