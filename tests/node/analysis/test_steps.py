"""Steps of an analysis on files: which sequences are segmented together."""

import json
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import models
from models.interruption import Interrupted, ended_by
from models.manifest import Manifest
from models.radiomics.extraction import expected_names
from models.radiomics.t2_contrast import spin_echo, stretch_to
from models.research.training.bundles import save_weights
from models.segmentation.inference import InferenceSettings
from models.segmentation.network import build_network
from models.segmentation.preprocessing import PreprocessingSettings
from models.sequence import ANALYSED, Sequence
from models.super_resolution.inference import super_resolve
from models.super_resolution.network import build_generator
from node.analysis.bundles import Models
from node.analysis.steps import (
    extract_features,
    predict_outcome,
    read_plan,
    segment_volumes,
    super_resolve_volumes,
)
from node.analysis.study import Study
from node.planning import plan_from
from node.recognition.plan import read_study
from node.recognition.record import to_json
from node.settings import AnalysisSettings, RecognitionSettings, ResultKind

WEIGHTS = Path(models.__file__).parent / "weights"
FEATURES = (4, 4, 4, 4, 4, 4)
# What an untrained network finds is noise: nothing is implausible here. One window holds the study.
ANYTHING = InferenceSettings(
    preprocessing=PreprocessingSettings(spacing_mm=(5.0, 5.0, 6.0), n4_iterations=(1,)),
    window=(16, 32, 32),
    minimum_peak=0,
    minimum_volume_ml=0,
    maximum_volume_ml=1e6,
    largest_component=False,
)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    torch.manual_seed(4)
    network = build_network(FEATURES, 3)
    with torch.no_grad():
        for parameter in network.final_conv_0_4.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return _bundles(tmp_path_factory.mktemp("segmentation"), network)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Bundles whose network takes all for tumour."""
    network = build_network(FEATURES, 3)
    with torch.no_grad():
        network.final_conv_0_4.weight.zero_()
        network.final_conv_0_4.bias.fill_(5)
    return _bundles(tmp_path_factory.mktemp("everything"), network)


def _bundles(folder, network):
    manifest = Manifest(
        name="untrained",
        version="0",
        kind="segmentation",
        input_sequences=ANALYSED,
        architecture={"features": FEATURES},
        settings=ANYTHING.model_dump(mode="json"),
        training_data="nothing",
        seed=1,
        command="none",
    )
    save_weights(folder, manifest, network)
    return Models(AnalysisSettings(segmentation=folder, prediction=WEIGHTS / "prediction", threads=1))


@pytest.fixture
def study(written_by, tmp_path):
    """The recognised study of a Skyra with random volumes; `own_frame`: sequences with a frame of reference each, or,
    where the frames are not `stated`, without any."""

    def made(own_frame, stated=True):
        paths = written_by("Skyra").paths
        uid = str(written_by("Skyra").instances[0].StudyInstanceUID)
        plan = plan_from(read_study(uid, paths, RecognitionSettings()), RecognitionSettings(), ())
        frames = {role: f"1.2.{number}" if stated else "" for number, role in enumerate(own_frame)}
        stacks = tuple(
            replace(stack, frame_of_reference_uid=frames.get(stack.role, stack.frame_of_reference_uid))
            for stack in plan.stacks
        )
        folder = tmp_path / "-".join(["study", *own_frame, str(stated)])
        folder.mkdir()
        (folder / "plan.json").write_text(to_json(replace(plan, stacks=stacks)))
        here = Study(uid, 1, {}, folder)
        for number, sequence in enumerate(ANALYSED):
            values = np.random.default_rng(number).normal(100, 20, (16, 40, 40)).astype(np.float32)
            image = sitk.DiscreteGaussian(sitk.GetImageFromArray(values), 2.0)
            image.SetSpacing((4.0, 4.0, 6.0))
            for kind in ("acquired", "super"):
                sitk.WriteImage(image, here.image(sequence, kind))
        return here

    return made


def mask_of(study, sequence):
    return sitk.GetArrayFromImage(sitk.ReadImage(study.image(sequence, "mask")))


def test_every_sequence_gets_its_masks_and_volume(study, bundles):
    here = study(own_frame=())
    volumes = segment_volumes(here, bundles)
    assert set(volumes) == set(ANALYSED)
    for sequence in ANALYSED:
        assert volumes[sequence] > 0
        assert volumes[sequence] == pytest.approx(mask_of(here, sequence).sum() * 0.096, rel=1e-6)


def test_the_probability_of_a_finding_is_kept_where_a_destination_wants_it_and_is_what_its_mask_was_cut_from(
    study, bundles
):
    here = study(own_frame=())
    segment_volumes(here, bundles)
    assert not here.image(ANALYSED[0], "probability").exists()
    segment_volumes(here, bundles, {ResultKind.FRACTIONAL})
    for sequence in ANALYSED:
        probability = sitk.GetArrayFromImage(sitk.ReadImage(here.image(sequence, "probability")))
        assert probability.max() <= 1
        threshold = bundles.segmenter.settings.threshold
        np.testing.assert_array_equal(probability >= threshold, mask_of(here, sequence) > 0)


def test_only_sequences_of_one_frame_of_reference_are_read_together(study, bundles):
    together, apart = study(own_frame=()), study(own_frame=("PVP",))
    for here in (together, apart):
        segment_volumes(here, bundles)
    assert not np.array_equal(mask_of(together, "PVP"), mask_of(apart, "PVP"))
    assert not np.array_equal(mask_of(together, "T2WI"), mask_of(apart, "T2WI"))
    assert mask_of(apart, "PVP").shape == (16, 40, 40)


def test_a_finding_at_an_impossible_place_is_set_aside_on_record_and_in_no_mask(study, everything):
    here = study(own_frame=())
    for sequence in ANALYSED:
        for kind in ("acquired", "super"):
            sitk.WriteImage(thin_body(), here.image(sequence, kind))
    volumes = segment_volumes(here, everything)
    plan = read_plan(here)
    assert [(it.sequence, it.code, it.place) for it in plan.set_aside] == [
        (sequence.value, "E-FINDING-OUTSIDE", "outside the body") for sequence in ANALYSED
    ]
    assert all(finding.volume_ml > 1000 for finding in plan.set_aside)
    assert volumes == dict.fromkeys(ANALYSED, 0)
    assert not any(mask_of(here, sequence).any() for sequence in ANALYSED)
    assert plan.locations == ()
    assert extract_features(here, everything) == 0
    assert predict_outcome(here, everything) is None
    segment_volumes(here, everything)
    assert read_plan(here) == plan


def thin_body():
    """A body of 24 mm in much air."""
    values = np.random.default_rng(2).uniform(0.5, 1.5, (16, 40, 40)).astype(np.float32)
    values[:, 17:23, 17:23] = 100
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((4.0, 4.0, 6.0))
    return image


def test_sequences_without_a_frame_of_reference_are_read_alone(study, bundles):
    silent, apart = study(own_frame=("PVP", "DWI"), stated=False), study(own_frame=("PVP", "DWI"))
    for here in (silent, apart):
        segment_volumes(here, bundles)
    for sequence in ANALYSED:
        np.testing.assert_array_equal(mask_of(silent, sequence), mask_of(apart, sequence))


def test_the_slice_thickness_of_the_header_is_the_profile_of_the_super_resolution(study, tmp_path):
    here = study({})
    plan = read_plan(here)
    changed = (
        replace(stack, acquisition=replace(stack.acquisition, slice_thickness_mm=4.5))
        if stack.role == "T2WI"
        else stack
        for stack in plan.stacks
    )
    (here.folder / "plan.json").write_text(to_json(replace(plan, stacks=tuple(changed))))
    manifest = Manifest(
        name="untrained", version="0", kind="super-resolution", input_sequences=ANALYSED, factor=(1, 1, 4),
        architecture={"features": 2, "blocks": 1}, training_data="nothing", seed=1, command="none",
    )  # fmt: skip
    save_weights(tmp_path / "bundle", manifest, build_generator(manifest))
    models = Models(AnalysisSettings(super_resolution=tmp_path / "bundle", threads=1))
    super_resolve_volumes(here, models)
    image, made = (sitk.ReadImage(here.image(Sequence.T2WI, kind)) for kind in ("acquired", "super"))
    thin, wanted, other = (
        sitk.GetArrayFromImage(it)
        for it in (made, *(super_resolve(image, models.super_resolver, thickness_mm=mm) for mm in (4.5, None)))
    )
    assert np.allclose(thin, wanted, atol=1e-3)
    assert not np.allclose(thin, other, atol=0.1)


def with_found_tumour(here) -> None:
    """A box in every sequence as the finding."""
    for sequence in ANALYSED:
        image = sitk.ReadImage(here.image(sequence, "super"))
        mask = np.zeros(image.GetSize()[::-1], np.uint8)
        mask[5:11, 15:24, 14:25] = 1
        found = sitk.GetImageFromArray(mask)
        found.CopyInformation(image)
        sitk.WriteImage(found, here.image(sequence, "mask_super"))


def test_features_are_measured_with_the_settings_of_the_bundle_and_kept_with_their_origin(study, bundles):
    here = study(own_frame=())
    with_found_tumour(here)
    features = extract_features(here, bundles)
    settings = bundles.predictor.radiomics
    assert features == 2 * 3 * len(expected_names(settings))
    values = json.loads((here.folder / "features.json").read_text())
    assert len(values) == features
    # The test's images are the same at both resolutions, and so is the one mask.
    assert values["T2WI|normal|original_glcm_Contrast"] == values["T2WI|super|original_glcm_Contrast"]
    origin = json.loads((here.folder / "provenance.json").read_text())
    assert origin.keys() == {f"{sequence}|{resolution}" for sequence in ANALYSED for resolution in ("normal", "super")}
    assert {it["settings_digest"] for it in origin.values()} == {settings.digest}
    assert len({it["mask_digest"] for it in origin.values()}) == 1


def test_the_contrast_of_t2wi_is_stretched_by_the_protocol_of_its_header(study, bundles):
    here = study(own_frame=())
    with_found_tumour(here)
    extract_features(here, bundles)
    (header,) = (stack.acquisition for stack in read_plan(here).stacks if stack.role == "T2WI")
    protocol = spin_echo(header.tr_ms, header.te_ms, header.field_strength_t)
    stretch = stretch_to(bundles.predictor.radiomics.t2wi_reference, protocol)
    origin = json.loads((here.folder / "provenance.json").read_text())
    assert stretch != 1
    assert {name: it["stretch"] for name, it in origin.items()} == {
        name: stretch if name.startswith("T2WI") else 1 for name in origin
    }


def test_t2wi_whose_header_tells_no_echo_time_has_no_features_and_the_others_have(study, bundles):
    here = study(own_frame=())
    with_found_tumour(here)
    plan = read_plan(here)
    stacks = [replace(stack, acquisition=replace(stack.acquisition, te_ms=None)) for stack in plan.stacks]
    (here.folder / "plan.json").write_text(to_json(replace(plan, stacks=tuple(stacks))))
    extract_features(here, bundles)
    names = json.loads((here.folder / "features.json").read_text())
    assert {name.split("|")[0] for name in names} == {"DWI", "PVP"}
    predict_outcome(here, bundles)
    prediction = json.loads((here.folder / "prediction.json").read_text())
    assert prediction["unanswered"]["lacking"] == ["T2WI"]


@pytest.mark.parametrize(("step", "made"), [(segment_volumes, "T2WI.mask.nrrd"), (extract_features, "features.json")])
def test_a_long_step_ends_at_a_safe_point_and_leaves_nothing_that_is_taken_for_its_result(study, bundles, step, made):
    here = study(own_frame=())
    with_found_tumour(here)
    points = chain((False, False), repeat(True))
    with pytest.raises(Interrupted), ended_by(lambda: next(points)):
        step(here, bundles)
    assert not (here.folder / made).exists()
