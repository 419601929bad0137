"""Studies fetched by hand: from Orthanc and dcmqrscp by both ways, and from archives that leave something out."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless
from typer.testing import CliRunner

from node.cli.main import app
from node.errors import NodeError, TransientError
from node.operations.retrieve import Order, retrieve
from node.operations.status import collect
from node.retrieval.search import Ceiling, CeilingError
from node.settings import Method
from storage.retrievals import RetrievalState
from tests.parts.processes import free_port, wait_for
from tests.parts.storage_scp import running_storage_scp

from .conftest import IMAGES, STUDY, Pacs, Site, an_image, remote

PLENTY = Ceiling(50, 5000)


@pytest.fixture
def from_pacs(site: Callable[..., Site], pacs: Pacs) -> Site:
    return site(remote("pacs", "PACS", pacs.port))


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("name", ["orthanc", "dcmqrscp"])
def test_a_study_of_a_real_archive_comes_whole(site, archives, images, name, method):
    where = site(archives[name])
    done = retrieve(where.settings, Order(name, study=STUDY, method=method), PLENTY)
    (study,) = done.studies
    assert (study.at_remote, study.here, study.state, study.reason) == (5, 5, "COMPLETE", "")
    assert where.here() == IMAGES
    assert {uid: each.PixelData for uid, each in where.data_sets().items()} == dict.fromkeys(IMAGES, bytes(2048))
    assert where.index.study(STUDY).instance_count == 5
    assert {it.calling_ae for it in where.index.instances(STUDY)} == {archives[name].ae_title}
    # The archive releases its association to the node after it has told who asked that all is sent.
    wait_for(lambda: not where.index.open_associations(datetime.now(UTC)), "no association is open", 10)


def test_compressed_objects_come_as_they_lie_there(site, archives, orthanc, tmp_path: Path):
    """Orthanc would have to decompress them for a context in which it can choose, and cannot."""
    study = f"{STUDY}9"
    for number, compressed in enumerate((False, True)):
        image = an_image(f"{study}.1.{number}")
        if compressed:
            image.compress(JPEG2000Lossless)
        image.save_as(tmp_path / "image.dcm", enforce_file_format=True)
        orthanc.store(tmp_path / "image.dcm")
    where = site(archives["orthanc"])
    assert retrieve(where.settings, Order("orthanc", study=study, method=Method.GET), PLENTY).short == ()
    syntaxes = [it.header.transfer_syntax_uid for it in where.index.instances(study)]
    assert sorted(syntaxes) == [ExplicitVRLittleEndian, JPEG2000Lossless]


@pytest.mark.parametrize(
    "keys", [{"accession": "A77"}, {"patient": "FETCHED", "dates": "20261101-20261130"}, {"dates": "20261129"}]
)
def test_a_study_is_found_by_what_a_person_knows_of_it(site, archives, keys):
    where = site(archives["orthanc"])
    done = retrieve(where.settings, Order("orthanc", **keys), PLENTY, dry_run=True)
    (study,) = [it for it in done.studies if it.study_instance_uid == STUDY]
    assert (study.study_date, study.description, study.modalities) == ("20261129", "MR rectum", ("MR",))
    assert (study.at_remote, study.here, study.state) == (5, 0, "")
    assert where.here() == []
    assert where.retrievals.records() == ()


def test_more_than_the_ceiling_is_refused_before_anything_comes(from_pacs, pacs):
    pacs.images += [an_image(f"1.2.3.1.{number}", AccessionNumber="B1") for number in range(9)]
    with pytest.raises(CeilingError, match="2 studies with 14 images match, 13 are allowed"):
        retrieve(from_pacs.settings, Order("pacs", patient="FETCHED"), Ceiling(2, 13))
    with pytest.raises(CeilingError, match="more than 1 studies match"):
        retrieve(from_pacs.settings, Order("pacs", patient="FETCHED"), Ceiling(1, 5000))
    assert pacs.asked == []
    assert retrieve(from_pacs.settings, Order("pacs", patient="FETCHED"), Ceiling(2, 14)).short == ()


def test_a_remote_that_tells_no_counts_is_counted_image_by_image(from_pacs, pacs):
    pacs.tells_counts = False
    with pytest.raises(CeilingError, match="1 studies with 5 images match, 4 are allowed"):
        retrieve(from_pacs.settings, Order("pacs", study=STUDY), Ceiling(1, 4))
    (study,) = retrieve(from_pacs.settings, Order("pacs", study=STUDY), Ceiling(1, 5)).studies
    assert (study.at_remote, study.here, study.state) == (5, 5, "COMPLETE")


def test_what_is_here_is_not_asked_for_again(from_pacs, pacs):
    retrieve(from_pacs.settings, Order("pacs", study=STUDY), PLENTY)
    assert pacs.asked == [("STUDY", (STUDY,))]
    retrieve(from_pacs.settings, Order("pacs", study=STUDY), PLENTY)
    assert pacs.asked == [("STUDY", (STUDY,))]


def test_what_a_study_came_without_is_asked_for_by_series_and_image(from_pacs, pacs):
    pacs.keeps_back = lambda level, uid: level == "STUDY" and (uid == IMAGES[1] or uid in IMAGES[3:])
    done = retrieve(from_pacs.settings, Order("pacs", study=STUDY), PLENTY)
    assert done.short == ()
    assert pacs.asked == [("STUDY", (STUDY,)), ("IMAGE", (IMAGES[1],)), ("SERIES", (f"{STUDY}.2",))]
    assert from_pacs.here() == IMAGES


def test_what_an_earlier_try_left_short_is_asked_for_alone(from_pacs, pacs):
    pacs.keeps_back = lambda _level, uid: uid == IMAGES[4]
    (short,) = retrieve(from_pacs.settings, Order("pacs", study=STUDY), PLENTY).short
    assert (short.at_remote, short.here, short.state) == (5, 4, RetrievalState.FAILED)
    assert short.reason == "PACS lists 5 objects, and sent 4 of the 5 that were not here"
    assert collect(from_pacs.settings).warnings == (
        "pacs: 1 study not fetched whole: `rectal-node retrievals` says why",
    )
    pacs.keeps_back = lambda _level, _uid: False
    pacs.asked.clear()
    assert retrieve(from_pacs.settings, Order("pacs", study=STUDY), PLENTY).short == ()
    assert pacs.asked == [("IMAGE", (IMAGES[4],))]
    assert collect(from_pacs.settings).warnings == ()


def test_a_move_that_succeeds_with_nothing_arriving_is_said_with_its_likely_cause(from_pacs, pacs):
    with running_storage_scp() as another:
        pacs.sends_to = ("127.0.0.1", another.port)
        (short,) = retrieve(from_pacs.settings, Order("pacs", study=STUDY), PLENTY, patience_s=0.5).short
    assert sorted(another.kept) == IMAGES
    assert short.reason.startswith(
        "PACS says that it sent 5 objects to RECTALNODE, and none came: it has another address"
    )


def test_a_pacs_that_does_not_know_this_node_is_named(from_pacs, pacs):
    pacs.sends_to = None
    (short,) = retrieve(from_pacs.settings, Order("pacs", study=STUDY), PLENTY).short
    assert short.reason == (
        "PACS does not know the destination (to RECTALNODE): it must be entered there, with address and port"
    )
    assert len(pacs.asked) == 1


def test_a_study_that_the_remote_does_not_have_is_none(from_pacs):
    assert retrieve(from_pacs.settings, Order("pacs", study="9.9"), PLENTY).studies == ()


def test_a_remote_that_does_not_answer_is_said(site):
    where = site(remote("pacs", "PACS", free_port()))
    with pytest.raises(TransientError, match="no connection"):
        retrieve(where.settings, Order("pacs", study=STUDY), PLENTY)


def test_a_move_without_a_node_that_listens_is_refused(from_pacs, pacs):
    other = from_pacs.settings.listener.model_copy(update={"port": free_port()})
    settings = from_pacs.settings.model_copy(update={"listener": other})
    with pytest.raises(NodeError, match="the node does not listen"):
        retrieve(settings, Order("pacs", study=STUDY), PLENTY)
    assert pacs.asked == []


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (Order("pacs"), "say what to fetch"),
        (Order("pacs", modality="MR"), "say what to fetch"),
        (Order("nobody", study=STUDY), "no \\[\\[remotes\\]\\] with host and port has the name 'nobody'"),
    ],
)
def test_an_order_that_is_none_is_refused(from_pacs, order, why):
    with pytest.raises(NodeError, match=why):
        retrieve(from_pacs.settings, order, PLENTY)


def test_the_commands_print_one_document(from_pacs, pacs, tmp_path: Path):
    listener = f"[listener]\nport = {from_pacs.settings.listener.port}\n"
    known = f'[[remotes]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {pacs.port}\nmay_store = true\n'
    config = tmp_path / "config.toml"
    config.write_text(f'root = "{from_pacs.settings.root}"\n{listener}{known}')
    call = ["--from", "pacs", "--config", str(config), "--json"]
    done = CliRunner().invoke(app, ["retrieve", *call, "--accession", "A77"])
    assert done.exit_code == 0, done.output
    (study,) = json.loads(done.stdout)["studies"]
    assert (study["study_instance_uid"], study["here"], study["state"]) == (STUDY, 5, "COMPLETE")
    shown = CliRunner().invoke(app, ["retrievals", *call])
    (record,) = json.loads(shown.stdout)["retrievals"]
    assert (record["remote"], record["at_remote"], record["here"], record["attempts"]) == ("pacs", 5, 5, 1)
    assert CliRunner().invoke(app, ["retrieve", *call, "--study", "9.9"]).exit_code == 1
