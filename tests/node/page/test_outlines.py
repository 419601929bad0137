"""An outline that a reader drew on images of a study is taken back as a DICOM segmentation, and compared."""

from __future__ import annotations

import io

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes

from node.viewing.outlines import dice as dice_of_the_node
from node.viewing.outlines import laid_on
from node.viewing.stacks import read_series
from storage.index import Index
from storage.readings import ReaderVerdict, Readings
from storage.records import StudyState

from ..results.conftest import GRIDS, STUDY_UID
from .conftest import NEOPLASM, an_outline, own_mask

PATH = f"/studies/{STUDY_UID}/outlines"
T2WI = f"{STUDY_UID}.5"
ORGAN = codes.SCT.Rectum


@pytest.fixture
def page(page_with, t2wi, tmp_path):
    """With a study of one sequence on an oblique stack, to which a test adds."""
    with page_with(tmp_path, t2wi) as found:
        yield found


@pytest.fixture(scope="module")
def images(t2wi):
    """The acquired images of the study, slice by slice along the normal."""
    return [dcmread(frame.path) for frame in t2wi.results.plan.stacks[0].frames]


@pytest.fixture(scope="module")
def own():
    """What the node outlined, slices × rows × columns."""
    return own_mask()


def grown(mask):
    """One voxel more to each side of a row, one slice less at the end."""
    wide = mask | np.roll(mask, 1, 2) | np.roll(mask, -1, 2)
    wide[np.flatnonzero(wide.any((1, 2)))[-1]] = False
    return wide


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def ml(mask):
    return mask.sum() * np.prod(GRIDS["T2WI"][1]) / 1000


def test_an_edited_outline_is_compared_with_the_nodes_and_kept_with_who_drew_it(page, images, own, t2wi):
    edited, viktor = grown(own), page.signed_in("viktor")
    data = an_outline(images, edited)
    answer = viktor.send(f"{PATH}/file", data, "edited.seg.dcm")
    wanted = f"{ml(edited):.1f} ml against {ml(own):.1f} ml, Dice {dice(edited, own):.2f}"
    assert wanted in answer.text
    (said,) = Readings(page.house.engine).of_study(STUDY_UID)
    assert (said.reader, said.verdict, said.revision) == ("viktor", ReaderVerdict.OUTLINED, 1)
    kept = said.outline
    assert kept.dice == pytest.approx(dice(edited, own), abs=1e-9)
    assert (kept.volume_ml, kept.own_ml) == pytest.approx((ml(edited), ml(own)), rel=1e-6)
    assert kept.drawn_on == T2WI
    assert kept.compared_with == t2wi.first("segmentation-t2wi").sop_instance_uid
    assert viktor.get(f"{PATH}/{kept.sop_instance_uid}").content == data
    assert f"{PATH}/{kept.sop_instance_uid}" in viktor.get(f"/studies/{STUDY_UID}").text
    study = Index(page.house.engine).study(STUDY_UID)
    assert (study.state, study.revision) == (StudyState.COMPLETED, 1)


def test_an_outline_on_the_refined_images_is_compared_on_their_grid(page, t2wi):
    sources = t2wi.datasets("super-resolved-t2wi")
    (own,) = t2wi.datasets("segmentation-super-resolved-t2wi")
    mask = hd.seg.Segmentation.from_dataset(own).get_volume(combine_segments=True).array > 0
    by_place = np.argsort([float(np.dot(it.ImagePositionPatient, _normal(it))) for it in sources])
    order = by_place if mask.shape[0] == len(sources) else None
    assert order is not None
    volume = hd.seg.Segmentation.from_dataset(own).get_volume(combine_segments=True)
    upwards = np.dot(volume.unit_vectors()[0], _normal(sources[0])) > 0
    of_sources = np.empty_like(mask)
    of_sources[by_place] = mask if upwards else mask[::-1]
    edited = grown(of_sources)
    answer = page.signed_in("olga").send(f"{PATH}/file", an_outline(sources, edited))
    assert f"Dice {dice(edited, of_sources):.2f}" in answer.text


def _normal(image):
    row, column = np.reshape(np.asarray(image.ImageOrientationPatient, float), (2, 3))
    return np.cross(row, column)


def test_one_that_came_by_the_network_is_offered_and_taken(page, images, own):
    page.house.receive(an_outline(images, own, uid="1.2.3.4.5"))
    olga = page.signed_in("olga")
    assert "A segmentation came from SCANNER." in olga.get(f"/studies/{STUDY_UID}/readings").text
    assert "Dice 1.00" in olga.post(f"{PATH}/1.2.3.4.5").text
    text = olga.get(f"/studies/{STUDY_UID}/readings").text
    assert "came from" not in text
    assert "own outline" in text
    assert "taken back before" in olga.post(f"{PATH}/1.2.3.4.5").text


def test_where_the_node_outlined_nothing_there_is_nothing_to_compare_with(page_with, t2wi, images, own, tmp_path):
    with page_with(tmp_path, t2wi, "report") as found:
        data = an_outline(images, own)
        assert "outlined nothing" in found.signed_in("olga").send(f"{PATH}/file", data).text
        (said,) = Readings(found.house.engine).of_study(STUDY_UID)
        assert (said.outline.dice, said.outline.compared_with) == (None, "")


def shifted(image):
    copied = dcmread(io.BytesIO(_bytes(image)))
    along_row = np.asarray(copied.ImageOrientationPatient[:3], float) * copied.PixelSpacing[1] * 0.4
    copied.ImagePositionPatient = [f"{v:.6f}" for v in np.asarray(copied.ImagePositionPatient, float) + along_row]
    return copied


def _bytes(image):
    buffer = io.BytesIO()
    image.save_as(buffer)
    return buffer.getvalue()


def elsewhere(image):
    copied = dcmread(io.BytesIO(_bytes(image)))
    copied.SeriesInstanceUID = "1.2.3.99"
    return copied


WRONG = {
    "no segmentation": (lambda images, own: _bytes(images[0]), "no DICOM segmentation"),
    "no DICOM": (lambda images, own: b"not DICOM at all" * 20, "no DICOM file"),
    "another study": (lambda images, own: an_outline(images, own, StudyInstanceUID="1.2.3"), "is of study 1.2.3"),
    "another patient": (lambda images, own: an_outline(images, own, PatientID="P-1"), "Patient ID is not that"),
    "another series": (lambda images, own: an_outline(list(map(elsewhere, images)), own), "no series of images"),
    "another frame of reference": (
        lambda images, own: an_outline(images, own, FrameOfReferenceUID="1.2.3.7"),
        "another Frame of Reference",
    ),
    "no tumour": (
        lambda images, own: an_outline(images, own, ORGAN, "wall"),
        "is a tumour by code or label: &#34;wall&#34;",
    ),
    "another grid": (lambda images, own: an_outline(list(map(shifted, images)), own), "they lie beside them"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_refused_in_one_sentence_and_leaves_nothing(page, images, own, fault):
    make, sentence = WRONG[fault]
    before = {it.relative_to(page.settings.root) for it in (page.settings.root / "objects").rglob("*")}
    answer = page.signed_in("olga").send(f"{PATH}/file", make(images, own))
    assert sentence in answer.text
    assert 'class="fault"' in answer.text
    assert Readings(page.house.engine).of_study(STUDY_UID) == ()
    assert {it.relative_to(page.settings.root) for it in (page.settings.root / "objects").rglob("*")} == before
    assert page.house.files.leftovers() == []


def test_the_nodes_own_object_is_no_outline_of_a_reader(page, t2wi):
    data = t2wi.first("segmentation-t2wi").path.read_bytes()
    assert "save it as a new object" in page.signed_in("olga").send(f"{PATH}/file", data).text


def test_a_label_may_name_the_tumour_where_its_code_does_not(page, images, own):
    data = an_outline(images, own, codes.SCT.Tissue, "Rectal Tumour edited")
    assert "Dice 1.00" in page.signed_in("olga").send(f"{PATH}/file", data).text


def test_of_several_segments_those_of_tumours_alone_count(t2wi, images, own, tmp_path):
    kinds = hd.seg.SegmentAlgorithmTypeValues.MANUAL
    segments = [
        hd.seg.SegmentDescription(number, label, codes.SCT.AnatomicalStructure, kind, kinds)
        for number, label, kind in ((1, "wall", ORGAN), (2, "tumour", NEOPLASM))
    ]
    both = np.stack([np.roll(own, 12, 2) & ~own, own], -1).astype(np.uint8)
    for kind in ("BINARY", "LABELMAP"):
        made = hd.seg.Segmentation(
            images, both, kind, segments, "1.2.9", 1, "1.2.9.1", 1, "Someone", "Editor", "1", "1"
        )
        made.save_as(tmp_path / kind)
        frames = [frame.path for frame in t2wi.results.plan.stacks[0].frames]
        (stack,) = read_series(T2WI, frames).stacks
        assert dice_of_the_node(laid_on(stack.lattice, tmp_path / kind, (2,)), own) == 1
