"""Tables of pseudonyms: a patient has one in a project, nobody else reads it, and who is forgotten is gone."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.inventory import of_root
from storage.pseudonyms import AmbiguousPatientError, Matching, PseudonymRow, Pseudonyms
from storage.records import NOBODY, PatientIdentity


@pytest.fixture
def tables(tmp_path: Path) -> Pseudonyms:
    return Pseudonyms(tmp_path)


def contradict(one: PatientIdentity, other: PatientIdentity) -> bool:
    """As a node compares headers: what both state, and state differently."""
    return any(a and b and a != b for a, b in ((one.issuer, other.issuer), (one.born, other.born)))


def merged(one: PatientIdentity, other: PatientIdentity) -> PatientIdentity:
    return PatientIdentity(one.identifier, one.issuer or other.issuer, one.born or other.born)


MATCHING = Matching(contradict, merged)


def row(
    tables: Pseudonyms, patient: str = "P1", issuer: str = "", project: str = "trial", born: str = ""
) -> PseudonymRow:
    return tables.of_patient(project, patient, PatientIdentity(f"digest-{patient}", issuer, born), "1.2.3", MATCHING)


def test_a_patient_has_the_same_in_a_project_and_another_in_another(tables, tmp_path):
    first = row(tables)
    assert row(Pseudonyms(tmp_path)) == first
    assert first.pseudonym.startswith("trial-")
    other = row(tables, project="other")
    assert (other.key, other.pseudonym.removeprefix("other-")) != (first.key, first.pseudonym.removeprefix("trial-"))


def test_patients_differ_by_their_id_and_by_who_assigned_it(tables):
    rows = [row(tables, "P1", "HERE"), row(tables, "P1", "THERE"), row(tables, "P2", "HERE")]
    assert len({it.pseudonym for it in rows}) == len({it.key for it in rows}) == 3
    assert row(tables, "P2") == rows[2]


def test_studies_that_name_nobody_are_a_patient_each(tables):
    one, other, again = (tables.of_patient("trial", "", NOBODY, study, MATCHING) for study in ("1.2", "1.3", "1.2"))
    assert one.pseudonym != other.pseudonym
    assert again == one


def test_who_was_born_on_another_day_is_another_patient_with_the_same_id(tables):
    first, other = row(tables, born="1950"), row(tables, born="1980")
    assert first.pseudonym != other.pseudonym
    assert (row(tables, born="1950"), row(tables, born="1980")) == (first, other)


@pytest.mark.parametrize("later", [{"issuer": "THERE"}, {"born": "1980"}])
def test_a_patient_who_stated_less_at_first_is_known_by_what_was_stated_since(tables, later):
    """Else the second of two persons whose first study said nothing would get the pseudonym of the first."""
    first = row(tables)
    assert row(tables, issuer="HERE", born="1950").pseudonym == first.pseudonym
    assert [(it.issuer, it.born) for it in tables.rows("trial")] == [("HERE", "1950")]
    assert row(tables, **later).pseudonym != first.pseudonym


def test_a_study_that_may_be_of_two_patients_gets_none_of_their_pseudonyms_and_none_of_its_own(tables):
    rows = (row(tables, issuer="HERE"), row(tables, issuer="THERE"))
    with pytest.raises(AmbiguousPatientError, match="do not say whose it is"):
        row(tables)
    assert tables.rows("trial") == rows


def test_a_line_of_before_birth_dates_is_read(tables, tmp_path):
    first = row(tables)
    path = tmp_path / "pseudonyms" / "trial.jsonl"
    path.write_text(path.read_text().replace(',"born":""', ""))
    assert tables.rows("trial") == (first,)
    assert row(tables, born="1950").pseudonym == first.pseudonym


def test_dates_are_moved_by_weeks_between_one_and_ten_years_back(tables):
    shifts = {row(tables, f"P{number}").shift_days for number in range(30)}
    assert len(shifts) > 10
    assert all(-520 * 7 <= it <= -52 * 7 and it % 7 == 0 for it in shifts)


def test_they_are_readable_by_their_user_alone_also_once_somebody_is_forgotten(tables, tmp_path):
    def modes() -> dict[str, int]:
        return {it.name: stat.S_IMODE(it.stat().st_mode) for it in tmp_path.rglob("*")}

    row(tables)
    wanted = {"pseudonyms": 0o700, "lock": 0o600, "trial.jsonl": 0o600}
    assert modes() == wanted
    tables.forget(lambda it: True)
    assert modes() == wanted


def test_who_is_forgotten_gets_another_pseudonym_and_another_key(tables, tmp_path):
    first, kept = row(tables), row(tables, "P2")
    row(tables, project="other")
    assert tables.forget(lambda it: it.identifier == "digest-P1") == 2
    assert not [it for it in tmp_path.rglob("*.jsonl") if first.key in it.read_text()]
    assert tables.rows("trial") == (kept,)
    assert row(tables).key != first.key


def test_processes_that_come_at_the_same_time_agree(tables, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: row(Pseudonyms(tmp_path)), range(16)))
    assert len(set(found)) == 1
    assert len(tables.rows("trial")) == 1


def test_a_line_that_a_power_cut_has_left_unfinished_is_none(tables, tmp_path):
    first = row(tables)
    path = tmp_path / "pseudonyms" / "trial.jsonl"
    path.write_bytes(path.read_bytes() + b'{"pseudonym":"trial-AA')
    assert row(tables) == first
    second = row(tables, "P2")
    assert tables.rows("trial") == (first, second)


def test_a_damaged_table_is_told_and_left_alone(tables, tmp_path):
    row(tables)
    path = tmp_path / "pseudonyms" / "trial.jsonl"
    path.write_bytes(b"{}\n")
    with pytest.raises(StorageError, match=r"trial.jsonl:1: is no line of a table of pseudonyms"):
        row(tables)
    assert path.read_bytes() == b"{}\n"


@pytest.mark.parametrize("project", ["", "../elsewhere", "a/b", ".hidden", "x" * 33, "näme"])
def test_a_project_has_a_name_that_a_file_can_have(tables, project):
    with pytest.raises(StorageError, match="is no name of a project"):
        row(tables, project=project)


def test_a_backup_has_the_tables(tables, tmp_path):
    row(tables)
    assert "pseudonyms/trial.jsonl" in {it.path for it in of_root(tmp_path)}


def test_a_row_is_printed_without_what_makes_uids_and_dates(tables):
    first = row(tables)
    assert first.key not in repr(first)
    assert "shift_days" not in repr(first)
