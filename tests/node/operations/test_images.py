"""Slices and contours of what the storage holds."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import numpy as np
import pydicom
import pytest
from PIL import Image

from node.errors import NodeError
from node.operations.answers import as_json
from node.operations.images import Images
from node.viewing.lattice import Orientation
from node.viewing.pixels import Window
from storage.database import open_engine
from storage.schema import dicom_object

from ...storage.house import House
from ..results.conftest import STUDY_UID, make_encoded, siemens  # noqa: F401 (fixtures)

T2WI = f"{STUDY_UID}.5"
WINDOW = Window(500.0, 900.0)


@pytest.fixture(scope="module")
def house(siemens, tmp_path_factory):  # noqa: F811
    """A storage with the images of a study and all that was made of them."""
    root = tmp_path_factory.mktemp("root")
    house = House(open_engine(f"sqlite:///{root / 'index.sqlite'}"), root, lambda _: datetime(2026, 1, 2, tzinfo=UTC))
    for stack in siemens.results.plan.stacks:
        for frame in stack.frames:
            house.receive(frame.path.read_bytes())
    for made in siemens.objects:
        house.make(made.path.read_bytes())
    return house


@pytest.fixture
def own_house(siemens, tmp_path):  # noqa: F811
    """A storage of a test of its own with the T2WI series of the study."""
    house = House(
        open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"), tmp_path, lambda _: datetime(2026, 1, 2, tzinfo=UTC)
    )
    for stack in siemens.results.plan.stacks:
        for frame in stack.frames if stack.series_instance_uid == T2WI else ():
            house.receive(frame.path.read_bytes())
    return house


@pytest.fixture
def images(house):
    return Images(house.engine, house.files)


def with_uid(data, uid, moved=0.0):
    """The same object under another UID, `moved` mm to the left of the patient."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    for frame in dataset.PerFrameFunctionalGroupsSequence if moved else ():
        position = frame.PlanePositionSequence[0]
        x, *others = position.ImagePositionPatient
        position.ImagePositionPatient = [float(x) + moved, *others]
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_acquired_and_refined_series_share_their_planes_and_the_segmentation_of_their_own_grid_is_first(
    images,
    siemens,  # noqa: F811
):
    acquired = images.series(STUDY_UID, T2WI).volumes[0]
    refined = images.series(STUDY_UID, siemens.first("super-resolved-t2wi").series_instance_uid).volumes[0]
    on_acquired, on_refined = (
        siemens.first(f"segmentation-{of}t2wi").sop_instance_uid for of in ("", "super-resolved-")
    )
    assert acquired.segmentations[0] == on_acquired
    assert refined.segmentations[0] == on_refined
    for one, other in zip(acquired.planes, refined.planes, strict=True):
        assert one.orientation is other.orientation
        assert np.allclose(one.right + one.down + one.through, other.right + other.down + other.through, atol=1e-6)
    assert refined.planes[0].slices == 4 * acquired.planes[0].slices


def test_only_segmentations_of_the_results_that_are_valid_now_are_laid_over_images(
    own_house,
    siemens,  # noqa: F811
):
    """Not those of an earlier revision, nor those that came from elsewhere."""
    images = Images(own_house.engine, own_house.files)
    segmentation = siemens.first("segmentation-t2wi")
    first = segmentation.path.read_bytes()
    own_house.make(first)
    second, received = (with_uid(first, f"{STUDY_UID}.99.{number}") for number in (2, 3))
    assert images.series(STUDY_UID, T2WI).volumes[0].segmentations == (segmentation.sop_instance_uid,)
    own_house.make(second, revision=2)
    own_house.receive(received)
    assert images.series(STUDY_UID, T2WI).volumes[0].segmentations == (f"{STUDY_UID}.99.2",)


def test_a_plane_is_told_as_it_is_drawn_and_not_as_it_is_cut(images):
    planes = json.loads(as_json(images.series(STUDY_UID, T2WI)))["volumes"][0]["planes"]
    assert {*planes[0]} >= {"orientation", "columns", "left", "step", "sides"}
    assert not [name for plane in planes for name in plane if name.startswith("_")]


def test_of_parallel_segmentations_of_one_matrix_that_on_the_own_grid_is_first(own_house, siemens):  # noqa: F811
    images = Images(own_house.engine, own_house.files)
    segmentation = siemens.first("segmentation-t2wi")
    own = segmentation.path.read_bytes()
    own_house.make(with_uid(own, f"{STUDY_UID}.99.1", moved=5.0))
    own_house.make(own)
    assert images.series(STUDY_UID, T2WI).volumes[0].segmentations[0] == segmentation.sop_instance_uid


def test_what_fits_is_told_by_headers_and_a_mask_is_decoded_where_it_is_drawn(own_house, siemens):  # noqa: F811
    """Pixels that cannot be decoded are no matter until they are asked for."""
    images = Images(own_house.engine, own_house.files)
    dataset = pydicom.dcmread(io.BytesIO(siemens.first("segmentation-t2wi").path.read_bytes()))
    dataset.PixelData = dataset.PixelData[:10]
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    own_house.make(out.getvalue())
    (uid,) = images.series(STUDY_UID, T2WI).volumes[0].segmentations
    with pytest.raises(NodeError, match="cannot be drawn"):
        images.outline(STUDY_UID, uid, Orientation.AXIAL)


def test_a_file_that_could_not_be_had_for_a_while_is_shown_afterwards(own_house, siemens):  # noqa: F811
    images = Images(own_house.engine, own_house.files)
    own_house.make(siemens.first("segmentation-t2wi").path.read_bytes())
    files = [own_house.files.root / row["path"] for row in own_house.rows(dicom_object)]
    gone = [(file, file.with_suffix(".away")) for file in (files[0], files[-1])]  # an outer slice, the segmentation
    for file, away in gone:
        file.rename(away)
    before = images.series(STUDY_UID, T2WI)
    assert (len(before.faults), before.volumes[0].segmentations) == (2, ())
    slices = before.volumes[0].planes[0].slices
    images.picture(STUDY_UID, T2WI, 0, Orientation.AXIAL, slices - 1, WINDOW)
    for file, away in gone:
        away.rename(file)
    after = images.series(STUDY_UID, T2WI)
    assert after.volumes[0].planes[0].slices == slices + 1
    assert images.picture(STUDY_UID, T2WI, 0, Orientation.AXIAL, slices, WINDOW)
    assert after.faults == ()
    assert after.volumes[0].segmentations


def test_a_picture_is_a_png_of_the_plane(images):
    plane = next(it for it in images.series(STUDY_UID, T2WI).volumes[0].planes if it.orientation == "sagittal")
    data = images.picture(STUDY_UID, T2WI, 0, Orientation.SAGITTAL, plane.slices // 2, WINDOW)
    picture = Image.open(io.BytesIO(data))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (plane.columns, plane.rows))


def test_the_refined_series_is_shown_in_the_values_of_the_acquired_one(images, siemens):  # noqa: F811
    series = siemens.first("super-resolved-t2wi").series_instance_uid
    one, other = (images.presets(STUDY_UID, it, 0).presets[0].window for it in (T2WI, series))
    assert abs(one.centre - other.centre) < 0.1 * one.width


def test_contours_have_positions_of_the_slices_of_the_images(images, siemens):  # noqa: F811
    plane = images.series(STUDY_UID, T2WI).volumes[0].planes[0]
    outline = images.outline(STUDY_UID, siemens.first("segmentation-t2wi").sop_instance_uid, plane.orientation)
    positions = [plane.first + index * plane.step for index in range(plane.slices)]
    assert outline.contours
    for drawn in outline.contours:
        assert min(abs(drawn.position - position) for position in positions) < 1e-3


def test_what_has_come_again_is_seen_at_once(house, images, siemens):  # noqa: F811
    series = f"{STUDY_UID}.12"
    before = images.series(STUDY_UID, series).version
    stack = next(it for it in siemens.results.plan.stacks if it.series_instance_uid == series)
    image = pydicom.dcmread(stack.frames[0].path)
    image.PixelData = bytes(len(image.PixelData))
    out = io.BytesIO()
    image.save_as(out, enforce_file_format=True)
    house.receive(out.getvalue())
    assert images.series(STUDY_UID, series).version != before
    picture = Image.open(io.BytesIO(images.picture(STUDY_UID, series, 0, Orientation.AXIAL, 0, WINDOW)))
    assert np.asarray(picture).max() == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((STUDY_UID, "1.2.3", 0, Orientation.AXIAL, 0, WINDOW), "not in study"),
        (("1.2.3", T2WI, 0, Orientation.AXIAL, 0, WINDOW), "not in study"),
        ((STUDY_UID, T2WI, 7, Orientation.AXIAL, 0, WINDOW), "no volume 7"),
        ((STUDY_UID, T2WI, -1, Orientation.AXIAL, 0, WINDOW), "no volume -1"),
        ((STUDY_UID, T2WI, 0, Orientation.AXIAL, 999, WINDOW), "no axial slice 999"),
        ((STUDY_UID, T2WI, 0, Orientation.AXIAL, -1, WINDOW), "no axial slice -1"),
        ((STUDY_UID, T2WI, 0, Orientation.AXIAL, 0, Window(1.0, 0.0)), "width above 0"),
        ((STUDY_UID, T2WI, 0, Orientation.AXIAL, 0, Window(float("nan"), 1.0)), "width above 0"),
    ],
)
def test_what_is_not_there_is_refused_by_name(images, arguments, why):
    with pytest.raises(NodeError, match=why):
        images.picture(*arguments)


def test_only_segmentations_have_contours(images, siemens):  # noqa: F811
    with pytest.raises(NodeError, match="no segmentation of study"):
        images.outline(STUDY_UID, siemens.first("report").sop_instance_uid, Orientation.AXIAL)


def test_a_series_without_images_says_so(images, siemens):  # noqa: F811
    with pytest.raises(NodeError, match="no volume to look at"):
        images.series(STUDY_UID, siemens.first("report").series_instance_uid)
