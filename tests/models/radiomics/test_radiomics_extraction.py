"""Feature extraction: equal to plain pyradiomics, missing rather than zero, complete or refused."""

from __future__ import annotations

import importlib.metadata
import math
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import radiomics
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor

from models.errors import ModelError, VolumeError
from models.interruption import Interrupted, ended_by
from models.radiomics import extraction
from models.radiomics.extraction import expected_names, require_complete
from models.radiomics.parallel import Region, extract_all
from models.radiomics.preparation import prepare, scaled
from models.radiomics.provenance import mask_digest, provenance, pyradiomics
from models.radiomics.settings import RadiomicsSettings, load_settings
from models.radiomics.words import REPORTED, in_words
from models.research.training.bundles import save_settings

from ...parts.processes import wait_for
from .measured import extract

FEW = load_settings()
#: With the wavelets, which the shipped settings leave out.
SETTINGS = FEW.model_copy(update={"image_types": FEW.image_types | {"Wavelet": {"wavelet": "coif1"}}})


def blob(size=(60, 56, 12), spacing=(0.8, 0.8, 5.0), radius_mm=12.0) -> tuple[sitk.Image, sitk.Image]:
    """A ball of smoothed noise in other smoothed noise; x, y, z order."""
    noise = np.random.default_rng(3).normal(400, 90, size[::-1]).astype(np.float32)
    z, y, x = np.indices(size[::-1])
    centre = [(count - 1) / 2 for count in size]
    squared = sum(((axis - c) * s) ** 2 for axis, c, s in zip((x, y, z), centre, spacing, strict=True))
    ball = (squared < radius_mm**2).astype(np.uint8)
    images = [sitk.GetImageFromArray(array) for array in (noise + 200 * ball, ball)]
    for image in images:
        image.SetSpacing(spacing)
        image.SetOrigin((-31.0, 12.5, 80.25))
    return sitk.SmoothingRecursiveGaussian(images[0], 1.0), images[1]


@pytest.fixture(scope="module")
def case() -> tuple[sitk.Image, sitk.Image]:
    return blob()


@pytest.fixture(scope="module")
def features(case) -> dict[str, float]:
    return extract(*case, SETTINGS)


def plain(
    image: sitk.Image, mask: sitk.Image, settings: RadiomicsSettings, folder, stretch: float = 1.0
) -> dict[str, float]:
    """What pyradiomics alone makes of the whole volume and its masks, exported as NIfTI."""
    made = scaled(image, mask, settings, stretch)
    paths = [str(folder / f"{name}.nii.gz") for name in ("image", "core", "whole")]
    for volume, path in zip((made.image, made.core, made.whole), paths, strict=True):
        sitk.WriteImage(volume, path)
    classes = settings.pyradiomics(made.bin_width)["featureClass"]
    found = {}
    for group, path in [(name, paths[2 if name == "shape" else 1]) for name in classes]:
        document = settings.pyradiomics(made.bin_width) | {"featureClass": {group: None}}
        if group == "shape":
            document["imageType"] = {"Original": {}}
        found |= RadiomicsFeatureExtractor(document).execute(paths[0], path)
    return {name: float(value) for name, value in found.items()}


def oblique(image: sitk.Image, mask: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    """The same in a tilted patient."""
    tilt = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.21, -0.13, 0.05)
    tilted = [sitk.Image(volume) for volume in (image, mask)]
    for volume in tilted:
        volume.SetDirection(tilt.GetMatrix())
    return tilted[0], tilted[1]


@pytest.mark.parametrize("settings", [SETTINGS, FEW.as_acquired], ids=["resampled", "as acquired"])
@pytest.mark.parametrize("turned", [lambda *case: case, oblique], ids=["straight", "oblique"])
@pytest.mark.parametrize("stretch", [1.0, 1.7], ids=["as it stands", "stretched"])
def test_extraction_equals_a_plain_pyradiomics_call_on_the_exported_volume(case, settings, turned, stretch, tmp_path):
    whole = plain(*turned(*case), settings, tmp_path, stretch)
    found = extract(*turned(*case), settings, stretch)
    assert found.keys() == whole.keys()
    for name, value in found.items():
        assert value == pytest.approx(whole[name], rel=1e-6), name


@pytest.mark.parametrize("start", [(0, 0, 0), (190, 3, 11)])
def test_only_the_surroundings_of_the_tumour_are_touched_and_no_value_changes(start, tmp_path):
    image, _ = blob(size=(240, 220, 30), spacing=(0.72, 0.72, 3.3))
    shape = np.zeros(image.GetSize()[::-1], np.uint8)
    x, y, z = start
    shape[z : z + 5, y : y + 17, x : x + 21] = 1
    moved = sitk.GetImageFromArray(shape)
    moved.CopyInformation(image)
    assert prepare(image, moved, FEW).image.GetNumberOfPixels() < image.GetNumberOfPixels() / 10
    whole = plain(image, moved, FEW, tmp_path)
    for name, value in extract(image, moved, FEW).items():
        assert value == pytest.approx(whole[name], rel=1e-6), name


def test_several_processes_give_what_one_gives_and_tell_how_far_they_are(case, features):
    image, mask = case
    empty = sitk.Image(mask.GetSize(), sitk.sitkUInt8)
    empty.CopyInformation(mask)
    regions = [Region("whole", image, mask, SETTINGS), Region("none", image, empty, SETTINGS)]
    regions.append(Region("acquired", image, mask, FEW.as_acquired))
    heard: list[float] = []
    found = extract_all(regions, workers=2, on_progress=heard.append)
    assert found == {"whole": features, "none": {}, "acquired": extract(image, mask, FEW.as_acquired)}
    assert extract_all(regions) == found
    assert heard == [share / 5 for share in range(1, 6)]


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_extraction_that_is_interrupted_ends_its_processes_whatever_they_do_and_the_next_starts_others(case):
    image, mask = case
    small = [Region("small", image, mask, FEW.as_acquired)]
    expected = extract_all(small, workers=2)
    processes, heard = active_children(), list[float]()
    many = [Region(str(number), image, mask, SETTINGS) for number in range(6)]
    with pytest.raises(Interrupted), ended_by(lambda: bool(heard)):
        extract_all(many, workers=2, on_progress=heard.append)
    assert processes
    wait_for(lambda: not any(it.is_alive() for it in processes), "they have ended", 5)
    assert extract_all(small, workers=2) == expected


def test_every_expected_feature_is_there_as_a_finite_python_float(features):
    assert features.keys() == expected_names(SETTINGS)
    assert len(features) == 14 + 10 * 93
    assert all(type(value) is float and math.isfinite(value) for value in features.values())


def test_features_do_not_depend_on_the_unit_of_intensity(case, features):
    image, mask = case
    again = extract(image * 3.5, mask, SETTINGS)
    for name, value in features.items():
        assert again[name] == pytest.approx(value, rel=1e-3, abs=1e-3), name


def test_a_mask_of_255_means_the_same_as_a_mask_of_1(case, features):
    image, mask = case
    assert extract(image, mask * 255, SETTINGS) == features


def test_a_volume_cropped_to_the_surroundings_gives_the_same_scale(case):
    image, mask = blob(size=(120, 120, 24))
    from_whole = scaled(image, mask, SETTINGS).image
    inner = ([25, 25, 4], [95, 95, 20])
    crop = [sitk.RegionOfInterest(v, [b - a for a, b in zip(*inner, strict=True)], inner[0]) for v in (image, mask)]
    from_crop = scaled(*crop, SETTINGS).image
    point = image.TransformIndexToPhysicalPoint([60, 60, 12])
    values = [volume[volume.TransformPhysicalPointToIndex(point)] for volume in (from_whole, from_crop)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_intensities_are_a_contrast_to_the_bright_surroundings():
    image, mask = blob()
    inside = sitk.GetArrayViewFromImage(mask) > 0
    values = np.where(inside, 300.0, 100.0).astype(np.float32)
    values[:, ::5, ::5][~inside[:, ::5, ::5]] = 600.0
    two = sitk.GetImageFromArray(values)
    two.CopyInformation(image)
    as_acquired = FEW.as_acquired.model_copy(update={"image_types": {"Original": {}}})
    assert extract(two, mask, as_acquired)["original_firstorder_Mean"] == pytest.approx(1000 * 300 / 600)


def test_the_rim_belongs_to_the_shape_and_not_to_the_intensities():
    image, mask = blob()
    inside = sitk.GetArrayViewFromImage(mask) > 0
    rim = sitk.GetImageFromArray(inside.astype(np.uint8))
    rim.CopyInformation(mask)
    values = sitk.GetArrayFromImage(image)
    within = sitk.GetArrayFromImage(sitk.BinaryErode(rim, (1, 1, 0))) > 0
    values[inside & ~within] = 5000.0
    bright = sitk.GetImageFromArray(values)
    bright.CopyInformation(image)
    shallow = FEW.as_acquired.model_copy(update={"eroded_mm": 0.0})
    found, whole = extract(bright, mask, FEW.as_acquired), extract(bright, mask, shallow)
    assert found["original_firstorder_Range"] < 0.5 * whole["original_firstorder_Range"]
    names = [name for name in found if "_shape_" in name]
    assert len(names) == 14
    assert [found[name] for name in names] == [whole[name] for name in names]


def test_a_tumour_without_a_core_is_measured_whole():
    image, mask = blob(radius_mm=4.0)
    made = scaled(image, mask, FEW)
    assert np.array_equal(sitk.GetArrayViewFromImage(made.core), sitk.GetArrayViewFromImage(made.whole))


def test_bins_are_a_share_of_the_median_and_at_most_128():
    image, mask = blob()
    made = scaled(image, mask, FEW)
    inside = sitk.GetArrayViewFromImage(made.image)[sitk.GetArrayViewFromImage(made.core) > 0]
    assert made.bin_width == pytest.approx(0.06 * np.median(inside))
    narrow = scaled(image, mask, FEW.model_copy(update={"bin_share": 1e-4}))
    assert narrow.bin_width == pytest.approx(np.ptp(inside) / 128)


@pytest.mark.parametrize("voxels", [0, 1, 2])
def test_a_mask_too_small_to_measure_leaves_every_feature_missing(case, voxels):
    image, _ = case
    tiny = np.zeros(image.GetSize()[::-1], np.uint8)
    tiny[6, 20, 20 : 20 + voxels] = 1
    mask = sitk.GetImageFromArray(tiny)
    mask.CopyInformation(image)
    assert extract(image, mask, SETTINGS) == {}


def test_a_filter_that_does_not_fit_the_volume_leaves_its_features_missing():
    image, mask = (volume[:, :, 4:7] for volume in blob(spacing=(0.8, 0.8, 7.0)))
    found = extract(image, mask, SETTINGS)
    assert {name for name in found if name.startswith("log-sigma")} == set()
    assert found.keys() == {name for name in expected_names(SETTINGS) if not name.startswith("log-sigma")}


def test_a_mask_on_another_grid_is_refused(case):
    image, mask = case
    moved = sitk.Image(mask)
    moved.SetOrigin((-31.0, 12.6, 80.25))
    with pytest.raises(VolumeError, match=r"0\.1 mm apart"):
        extract(image, moved, SETTINGS)
    with pytest.raises(VolumeError, match="size"):
        extract(image, mask[:, :, :-1], SETTINGS)


def test_an_origin_that_differs_by_rounding_is_accepted(case, features):
    image, mask = case
    near = sitk.Image(mask)
    near.SetOrigin((-31.0, 12.5001, 80.25))
    assert extract(image, near, SETTINGS) == features


def test_a_filter_that_pyradiomics_silently_lost_is_refused(monkeypatch):
    wavelet = RadiomicsSettings(bin_count=16, image_types={"Original": {}, "Wavelet": {}})
    require_complete(wavelet)
    extraction._difference.cache_clear()
    monkeypatch.setattr("radiomics.imageoperations.getWaveletImage", lambda *_, **__: iter(()))
    with pytest.raises(ModelError, match="744 missing"):
        require_complete(wavelet)
    extraction._difference.cache_clear()


def test_unknown_and_contradicting_settings_are_named(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("bin_count: 32\nbinwidth: 5\nimage_types: {Original: {}}\n")
    with pytest.raises(ModelError, match=r"other\.yaml: binwidth"):
        load_settings(path)
    path.write_text("bin_count: 32\nbin_width: 5\nimage_types: {Original: {}}\n")
    with pytest.raises(ModelError, match="exactly one of bin_count, bin_width and bin_share"):
        load_settings(path)


def test_reported_features_are_extracted_ones_with_one_code_each():
    assert set(REPORTED) <= expected_names(SETTINGS)
    codes = {in_words(f"T2WI|super|{name}").code for name in REPORTED} - {""}
    assert len(codes) == len(set(REPORTED)) == len(REPORTED)


def test_settings_come_back_from_their_yaml_file(tmp_path):
    save_settings(SETTINGS, tmp_path / "radiomics.yaml")
    assert load_settings(tmp_path / "radiomics.yaml") == SETTINGS
    (tmp_path / "radiomics.yaml").write_text("bin_count: [")
    with pytest.raises(ModelError, match=r"radiomics\.yaml: not valid YAML"):
        load_settings(tmp_path / "radiomics.yaml")


def test_provenance_names_the_distribution_whose_sources_run():
    name, version = pyradiomics()
    assert radiomics.__version__ == f"v{version}"
    (module,) = (path for path in importlib.metadata.files(name) if path.as_posix() == "radiomics/__init__.py")
    assert Path(module.locate()).samefile(radiomics.__file__)


def test_provenance_tells_settings_images_and_masks_apart(case):
    image, mask = case
    other = sitk.BinaryErode(mask, [1, 1, 0])
    assert mask_digest(mask) == mask_digest(mask * 255) != mask_digest(other)
    origin = provenance(Region("T2WI|normal", image, mask, SETTINGS))
    assert origin.settings["resampled_spacing_mm"] == [1.0, 1.0, 0.0]
    assert (origin.size, origin.spacing_mm) == ((60, 56, 12), (0.8, 0.8, 5.0))
    assert origin.versions.items() >= dict([pyradiomics()]).items()
    for changed in (
        Region("T2WI|normal", image, other, SETTINGS),
        Region("T2WI|normal", image + 1, mask, SETTINGS),
        Region("T2WI|normal", image, mask, SETTINGS.as_acquired),
    ):
        assert provenance(changed) != origin
