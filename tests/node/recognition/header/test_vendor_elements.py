"""Private elements: by creator wherever the block lies, decoded by known type, ranked by belief."""

from __future__ import annotations

import struct

import pytest
from pydicom import Dataset, dcmread

from models.sequence import Sequence
from node.recognition.header import vendors
from node.recognition.header.facts import BValue, Diffusion, Directionality, ImageKind, Vendor, VendorFacts
from node.recognition.header.frames import read_frames, standard_diffusion
from node.recognition.header.kinds import image_kind
from node.recognition.header.private import PrivateElements
from node.recognition.header.vendors.ge import decode_b_value
from node.recognition.header.words import words
from node.settings import RecognitionSettings


def read(vendor: Vendor, dataset: Dataset) -> VendorFacts:
    return vendors.read(vendor, dataset, PrivateElements(dataset), standard_diffusion(dataset))


def siemens(**private: object) -> Dataset:
    dataset = Dataset()
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    for name, (vr, value) in private.items():
        block.add_new(int(name[1:], 16), vr, value)
    return dataset


@pytest.mark.parametrize(
    ("stored", "b_value"),
    [
        (1000, 1000),
        (1_000_000_800, 800),
        (1_000_000_000, 0),
        (0, 0),
        (268_435_456, None),
        (1_073_741_824, None),
    ],
)
def test_ge_b_values_lose_their_offset_and_constants_of_other_images_are_no_b_values(stored, b_value):
    assert decode_b_value(stored) == b_value


def ge(scanning: list[str], number: int, direction: int = 0, options: str = "") -> Dataset:
    """A GE header with a number where its b-values stand; `direction` is 0 where no diffusion pulse plays."""
    dataset = Dataset()
    dataset.ScanningSequence, dataset.ScanOptions = scanning, options
    dataset.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [number, 8, 0, 0])
    dataset.private_block(0x0021, "GEMS_RELA_01", create=True).add_new(0x5A, "SL", direction)
    return dataset


@pytest.mark.parametrize("scanning", [["EP", "GR"], ["SE"], ["SE", "IR"], ["EP", "SE", "IR"]])
def test_a_number_among_the_ge_elements_is_no_b_value_where_nothing_says_diffusion(scanning):
    diffusion = read(Vendor.GE, ge(scanning, 1000)).diffusion
    assert diffusion.b_value is None
    assert diffusion.declared is None
    assert diffusion.unproven == BValue(1000, "(0043,xx39) GEMS_PARM_01")


@pytest.mark.parametrize(
    "dataset",
    [
        ge(["SE", "RM"], 1000, direction=7),
        ge(["SE", "RM"], 1000, options="DIFF_GEMS"),
        ge(["SE", "RM"], 1_000_001_000),
        ge(["EP", "SE"], 1000),
        ge(["EP", "SE", "IR"], 1000, direction=16),
    ],
    ids=["direction of the series", "scan option", "offset of 1e9", "spin-echo EPI", "inversion-prepared tensor"],
)
def test_a_ge_b_value_counts_where_an_element_says_diffusion_whatever_reads_it_out(dataset):
    assert read(Vendor.GE, dataset).diffusion.b_value == 1000


def test_ge_propeller_diffusion_is_recognised_without_echo_planar_imaging(series_of, recognised):
    plan = recognised(propeller(series_of))
    assert plan.stack(Sequence.DWI).b_value == 800


def test_ge_propeller_b_0_images_are_no_t2(series_of, recognised):
    low = [each for each in propeller(series_of) if not each[0x00431039].value[0]]
    for instance in low:
        instance.EchoTime = "90"
    (verdict,) = recognised(low).verdicts
    assert verdict.role == "DWI"
    assert "b = 0 images only" in verdict.reason


def test_a_series_that_only_its_name_calls_diffusion_says_which_number_was_not_believed(series_of, recognised):
    dwi = propeller(series_of)
    for instance in dwi:
        instance[0x0021105A].value = instance[0x00431030].value = 0
    plan = recognised([each for each in dwi if each[0x00431039].value[0]])
    reason = "(0043,xx39) GEMS_PARM_01 holds 800, but no element says that the images are diffusion-weighted"
    assert plan.refusal(Sequence.DWI).code == "E-BVAL-UNKNOWN"
    assert plan.refusal(Sequence.DWI).reason == reason
    assert reason in plan.verdicts[0].reason


def propeller(series_of) -> list[Dataset]:
    """Diffusion-weighted images of a fast spin echo; GE writes no (0018,9087) on them."""
    dwi = series_of("MR750", "Ax DWI")
    for instance in dwi:
        instance.ScanningSequence, instance.SequenceVariant = ["SE", "RM"], "SK"
        instance.ScanOptions, instance.EchoTrainLength = ["PFF"], "12"
        instance[0x0019109C].value = instance[0x0019109E].value = "propeller"
        assert "DiffusionBValue" not in instance
    return dwi


def test_ge_zero_vector_outside_a_tensor_scan_is_the_combined_image():
    def directionality(tensor: int) -> Directionality:
        dataset = Dataset()
        dataset.ScanningSequence = ["EP", "SE"]
        acquisition = dataset.private_block(0x0019, "GEMS_ACQU_01", create=True)
        for element in (0xBB, 0xBC, 0xBD):
            acquisition.add_new(element, "DS", "0")
        dataset.private_block(0x0021, "GEMS_RELA_01", create=True).add_new(0x5A, "SL", tensor)
        dataset.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [1000, 8, 0, 0])
        return read(Vendor.GE, dataset).diffusion.directionality

    assert directionality(7) is Directionality.ISOTROPIC
    assert directionality(16) is Directionality.UNKNOWN


def test_a_private_block_is_found_by_its_creator_wherever_it_was_moved():
    dataset = Dataset()
    dataset.add_new(0x00190010, "LO", "SOMEBODY ELSE")
    dataset.add_new(0x0019100C, "IS", "5")
    dataset.add_new(0x00190047, "LO", "SIEMENS MR HEADER ")
    dataset.add_new(0x0019470C, "IS", "800")
    assert read(Vendor.SIEMENS, dataset).diffusion.b_value == 800


def test_an_element_that_became_un_is_decoded_by_its_known_type():
    dataset = siemens(x0C=("UN", b"1000"), x0E=("UN", struct.pack("<3d", 0, 0, 1)), x0D=("UN", b"DIRECTIONAL "))
    diffusion = read(Vendor.SIEMENS, dataset).diffusion
    assert diffusion.b_value == 1000
    assert diffusion.direction == (0, 0, 1)
    assert diffusion.directionality is Directionality.DIRECTIONAL


def test_bytes_of_a_wrong_length_are_a_fault_and_no_number():
    dataset = Dataset()
    dataset.private_block(0x0065, "Image Private Header", create=True).add_new(0x0A, "UN", b"\x00\x01\x02")
    private = PrivateElements(dataset)
    assert private.number(0x0065, "Image Private Header", 0x0A, "FD") is None
    assert [fault.code for fault in private.faults] == ["E-PRIVATE-UNDECODED"]


def philips(b_value: float, **private: tuple[int, str, object]) -> Dataset:
    dataset = Dataset()
    dataset.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x03, "FL", b_value)
    dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    for creator, (element, vr, value) in private.items():
        dataset.private_block(0x2005, f"Philips MR Imaging DD {creator[1:4]}", create=True).add_new(element, vr, value)
    return dataset


def test_philips_gradient_direction_from_private_elements():
    vector = {f"_001{axis}": (0xB0 + axis, "FL", part) for axis, part in enumerate((0.6, -0.8, 0.0))}
    diffusion = read(Vendor.PHILIPS, philips(800, **vector)).diffusion
    assert diffusion.direction == pytest.approx((0.6, -0.8, 0))
    assert diffusion.directionality is Directionality.DIRECTIONAL


def test_a_philips_gradient_direction_of_zeros_is_the_combined_image():
    vector = {f"_001{axis}": (0xB0 + axis, "UN", bytes(4)) for axis in range(3)}
    assert read(Vendor.PHILIPS, philips(800, **vector)).diffusion.directionality is Directionality.ISOTROPIC


@pytest.fixture
def tensor(shared_data) -> list[Dataset]:
    """A real tensor run: b = 0 once, b = 2000 in three directions, eight slices each."""
    folder = shared_data / "philips_Achieva-dStream_DTI_b0_b2000_subset"
    instances = [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
    assert len(instances) == 32
    for instance in instances:
        del instance.DiffusionGradientOrientation
    return instances


def volumes(plan) -> list[str]:
    return sorted(line.split("; not used")[0] for line in plan.verdicts[0].volumes)


HEAD = RecognitionSettings(body_parts=("HEAD", "BRAIN"))


def test_philips_directions_of_a_real_tensor_run_are_read_from_private_elements(tensor, recognised):
    single = "diffusion-weighted images of single directions, 8 slices, b = 2000 s/mm²"
    assert volumes(recognised(tensor, HEAD)) == [*[single] * 3, "diffusion-weighted images, 8 slices, b = 0 s/mm²"]


def test_philips_directions_are_told_apart_by_their_numbers_where_no_vector_is_left(tensor, recognised):
    for instance in tensor:
        for element in (0x200510B0, 0x200510B1, 0x200510B2):
            del instance[element]
    assert len(volumes(recognised(tensor, HEAD))) == 4


def test_directions_that_nothing_tells_apart_are_no_measure_of_what_the_b_0_images_lack(tensor, recognised):
    for instance in tensor:
        for element in (0x200510B0, 0x200510B1, 0x200510B2, 0x20051413, 0x20051596):
            instance.pop(element, None)
        for keyword in ("AcquisitionTime", "ContentTime", "TemporalPositionIdentifier", "TriggerTime"):
            instance.pop(keyword, None)
    high, low = volumes(recognised(tensor, HEAD))
    assert low == "diffusion-weighted images, 8 slices, b = 0 s/mm²"
    assert "24 images at 8 positions" in high
    assert "E-SPLIT-UNEXPLAINED" in high


@pytest.mark.parametrize("name", ["ep_b800t", "*ep_b800#3", "ep_b800"])
def test_siemens_b_value_from_the_sequence_name_where_nothing_else_has_it(name):
    dataset = siemens()
    dataset.SequenceName = name
    assert read(Vendor.SIEMENS, dataset).diffusion.b_value == 800


def test_a_range_in_the_siemens_sequence_name_is_no_b_value():
    dataset = siemens()
    dataset.SequenceName = "ep_b0_800"
    assert read(Vendor.SIEMENS, dataset).diffusion.b_value is None


def csa_header(name: str, value: bytes, claimed: int | None = None) -> bytes:
    entry = struct.pack("<64s i 4s i i i", name.encode(), 1, b"IS", 6, 1, 77)
    item = struct.pack("<4i", 0, len(value) if claimed is None else claimed, 77, 0)
    return b"SV10\4\3\2\1" + struct.pack("<2i", 1, 77) + entry + item + value


def test_siemens_b_value_from_the_csa_header():
    dataset = siemens()
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", csa_header("B_value", b"400\0"))
    assert read(Vendor.SIEMENS, dataset).diffusion.b_value == 400


def test_an_overrun_in_the_csa_header_is_a_fault():
    dataset = siemens()
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", csa_header("B_value", b"400\0", claimed=100_000))
    private = PrivateElements(dataset)
    assert vendors.read(Vendor.SIEMENS, dataset, private, Diffusion()).diffusion.b_value is None
    assert [fault.code for fault in private.faults] == ["E-PRIVATE-UNDECODED"]


def test_uih_groups_by_the_nominal_and_not_by_the_effective_b_value():
    dataset = Dataset()
    block = dataset.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x09, "FD", 928.29)
    block.add_new(0x0A, "FD", 1000.0)
    assert read(Vendor.UIH, dataset).diffusion.b_value == 1000


def test_private_creators_outweigh_a_manufacturer_that_later_software_wrote():
    dataset = siemens(x0C=("IS", "50"))
    assert vendors.identify("Some Workstation", PrivateElements(dataset)) is Vendor.SIEMENS


@pytest.mark.parametrize("name", ["GE MEDICAL SYSTEMS", "Philips Healthcare", "UIH", "Siemens Healthineers"])
def test_without_private_elements_the_manufacturer_names_the_vendor(name):
    assert vendors.identify(name, PrivateElements(Dataset())) is not Vendor.OTHER


@pytest.mark.parametrize(
    ("vendor", "image_type", "description", "kind"),
    [
        (Vendor.SIEMENS, "DERIVED\\PRIMARY\\DIFFUSION\\ADC\\ND", "", ImageKind.ADC),
        (Vendor.SIEMENS, "DERIVED\\PRIMARY\\DIFFUSION\\TRACEW\\ND\\ADC", "", ImageKind.ADC),
        (Vendor.SIEMENS, "DERIVED\\PRIMARY\\DIFFUSION\\TRACEW\\ND", "dwi_ADC", ImageKind.TRACE),
        (Vendor.SIEMENS, "DERIVED\\PRIMARY\\DIFFUSION\\CALC_BVALUE\\TRACEW", "", ImageKind.CALCULATED),
        (Vendor.SIEMENS, "DERIVED\\PRIMARY\\DIXON\\WATER", "", ImageKind.WATER),
        (Vendor.SIEMENS, "DERIVED\\SECONDARY\\POSDISP", "", ImageKind.SCREEN),
        (Vendor.SIEMENS, "DERIVED\\SECONDARY\\MPR\\CSA MPR", "", ImageKind.REFORMAT),
        (Vendor.SIEMENS, "ORIGINAL\\PRIMARY\\P\\ND", "", ImageKind.NOT_MAGNITUDE),
        (Vendor.GE, "DERIVED\\SECONDARY\\PROCESSED", "Apparent Diffusion Coefficient (mm?/s)", ImageKind.ADC),
        (
            Vendor.GE,
            "DERIVED\\SECONDARY\\PROCESSED",
            "Exponential Apparent Diffusion Coefficient",
            ImageKind.EXPONENTIAL,
        ),
        (Vendor.GE, "DERIVED\\PRIMARY\\EADC\\EADC", "", ImageKind.EXPONENTIAL),
        (Vendor.GE, "ORIGINAL\\PRIMARY\\OTHER", "WATER: Ax LAVA", ImageKind.WATER),
        (Vendor.GE, "DERIVED\\PRIMARY\\OTHER\\SUBTRACT", "", ImageKind.SUBTRACTION),
        (Vendor.GE, "DERIVED\\SECONDARY", "COL: MRA", ImageKind.PROJECTION),
        (Vendor.GE, "DERIVED\\SECONDARY\\OTHER", "SYN b1200: Ax DWI", ImageKind.CALCULATED),
        (Vendor.PHILIPS, "ORIGINAL\\PRIMARY\\ADC_UNSPECIFIED\\ADC\\UNSPECIFIED", "", ImageKind.ADC),
        (Vendor.PHILIPS, "ORIGINAL\\PRIMARY\\EADC_UNSPECIFIE\\EADC\\UNSPECIFIED", "", ImageKind.EXPONENTIAL),
        (Vendor.PHILIPS, "DERIVED\\PRIMARY\\W\\W\\DERIVED", "", ImageKind.WATER),
        (Vendor.PHILIPS, "ORIGINAL\\PRIMARY\\PROJECTION IMAGE\\M\\FFE", "", ImageKind.PROJECTION),
        (Vendor.PHILIPS, "ORIGINAL\\PRIMARY\\M_SE\\M\\SE", "T2 ADC planning", ImageKind.ACQUIRED),
    ],
)
def test_the_kind_of_an_image_is_told_by_whole_tokens(vendor, image_type, description, kind):
    assert image_kind(vendor, tuple(image_type.split("\\")), description, "", words())[0] is kind


def test_philips_b_0_on_a_t2_series_does_not_make_it_diffusion_weighted(series_of, recognised):
    t2 = series_of("Multiva", "T2W_TSE_tra")
    assert all(instance.DiffusionBValue == 0 for instance in t2)
    verdict = recognised(t2).verdicts[0]
    assert (verdict.role, verdict.b_values, verdict.used) == ("T2WI", (), True)


def test_values_that_break_their_representation_count_as_absent(tmp_path, series_of):
    instance = series_of("Skyra", "t2_tse_tra")[0]
    path = tmp_path / "odd.dcm"
    instance.save_as(path)
    bytes_ = path.read_bytes().replace(b"AcquisitionTime", b"AcquisitionTime")
    time = instance.AcquisitionTime.encode()
    path.write_bytes(bytes_.replace(time, b"*" * len(time)))
    (frame,) = read_frames(path, words())
    assert frame.timing.acquisition_s is None
