"""Private elements: by creator wherever the block lies, decoded by known type, ranked by belief."""

from __future__ import annotations

import struct

import pytest
from pydicom import Dataset

from node.recognition import vendors
from node.recognition.facts import Diffusion, Directionality, ImageKind, Vendor, VendorFacts
from node.recognition.headers import read_frames, standard_diffusion
from node.recognition.kinds import image_kind
from node.recognition.private import PrivateElements
from node.recognition.vendors.ge import decode_b_value
from node.recognition.words import words


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


def test_ge_private_b_values_on_other_readouts_than_spin_echo_epi_do_not_count():
    dataset = Dataset()
    dataset.ScanningSequence = ["EP", "GR"]
    dataset.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [1000, 8, 0, 0])
    assert read(Vendor.GE, dataset).diffusion.b_value is None


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
