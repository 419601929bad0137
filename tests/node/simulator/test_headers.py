"""Each vendor's own words: names, image types, b-values, times, character sets."""

from __future__ import annotations

import subprocess
from datetime import datetime

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage

from node.simulator import write_study

MODELS = {
    "Philips Multiva": ("Philips Medical Systems", "Multiva"),
    "UIH uMR 560": ("UIH", "uMR 560"),
    "UIH uMR 570": ("UIH", "uMR 570"),
    "UIH uMR 770": ("UIH", "uMR 770"),
    "GE MR750": ("GE MEDICAL SYSTEMS", "DISCOVERY MR750"),
    "Siemens Skyra": ("SIEMENS", "Skyra"),
}


def _private_b_value(instance: Dataset) -> float:
    """The b-value from the vendor's private element, by its creator."""
    group, creator, element = {
        "SIEMENS": (0x0019, "SIEMENS MR HEADER", 0x0C),
        "GE MEDICAL SYSTEMS": (0x0043, "GEMS_PARM_01", 0x39),
        "Philips Medical Systems": (0x2001, "Philips Imaging DD 001", 0x03),
        "UIH": (0x0065, "Image Private Header", 0x0A),
    }[instance.Manufacturer]
    value = instance.private_block(group, creator)[element].value
    return float(value[0] if creator.startswith("GEMS") else value)


def _weighted(written) -> list[Dataset]:
    tokens = {"Siemens": "TRACEW", "GE": "Ax DWI", "Philips": "DWI_", "UIH": "epi_dwi_tra_b"}
    return written.series(tokens[written.study.scanner.manufacturer])


def _clock(instance: Dataset, keyword: str) -> float:
    text = str(instance[keyword].value)
    moment = datetime.strptime(text.ljust(13, "0") if "." in text else text, "%H%M%S.%f" if "." in text else "%H%M%S")
    return moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6


def test_equipment_is_named_as_the_vendor_names_it(written):
    names = {(each.Manufacturer, each.ManufacturerModelName) for each in written.instances}
    assert names == {MODELS[written.study.scanner.name]}


def test_nobody_can_take_the_patient_for_a_real_one(written):
    for each in written.instances:
        assert each.PatientName == "SIM^000042"
        assert each.PatientID == "SIM000042"
        assert "Simulated" in each.PatientComments


def test_b_values_stand_in_the_private_element_of_the_vendor(written):
    weighted = _weighted(written)
    found = {value: sum(_private_b_value(each) == value for each in weighted) for value in (0, 800)}
    depth = next(series.image.GetDepth() for series in written.study.series if series.kind == "DWI")
    assert found == {0: depth, 800: depth}


def test_only_philips_writes_the_standard_b_value(written):
    philips = written.study.scanner.manufacturer == "Philips"
    assert {"DiffusionBValue" in each for each in _weighted(written)} == {philips}


def test_b_values_lie_in_one_series_except_on_uih(written):
    count = 2 if written.study.scanner.manufacturer == "UIH" else 1
    assert len({each.SeriesInstanceUID for each in _weighted(written)}) == count


def test_the_adc_map_is_marked_in_the_manner_of_the_vendor(written):
    maps = {
        "Siemens": ("ep2d_diff_b0_800_tra_ADC", ["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "NORM", "DIS2D"]),
        "GE": ("Apparent Diffusion Coefficient (mm2/s)", ["DERIVED", "SECONDARY", "PROCESSED"]),
        "Philips": ("dADC", ["ORIGINAL", "PRIMARY", "ADC_UNSPECIFIED", "ADC", "UNSPECIFIED"]),
        "UIH": ("epi_dwi_tra_ADC", ["DERIVED", "PRIMARY", "M"]),
    }
    description, image_type = maps[written.study.scanner.manufacturer]
    found = [each for each in written.instances if each.SeriesDescription == description]
    assert len(found) == 10
    assert {tuple(each.ImageType) for each in found} == {tuple(image_type)}


def test_the_time_of_every_phase_after_injection_follows_from_the_header(written):
    """Start of the phase (Philips: start of the run + trigger time) + half its duration - start of the bolus."""
    phases = [series for series in written.study.series if series.kind == "DCE"]
    tokens = {"Siemens": "_dyn", "GE": "Ax LAVA", "Philips": "dyn_eTHRIVE", "UIH": "steps_R"}
    vendor = written.study.scanner.manufacturer
    dynamic = [each for each in written.series(tokens[vendor]) if "SUB" not in each.SeriesDescription.upper()]
    bolus = {_clock(each, "ContrastBolusStartTime") for each in dynamic if "ContrastBolusStartTime" in each}
    assert len(bolus) == 1
    starts = sorted(
        {
            _clock(each, "AcquisitionTime") + (float(each.TriggerTime) / 1000 if vendor == "Philips" else 0)
            for each in dynamic
        }
    )
    protocol = written.study.scanner.dce
    half_s = protocol.tr_ms * protocol.matrix[1] * phases[0].image.GetDepth() / 4 / 1000 / 2
    times = [start - bolus.copy().pop() + half_s for start in starts]
    tolerance_s = 1.0 if vendor == "GE" else 0.02
    assert times == pytest.approx([series.phase_time_s for series in phases], abs=tolerance_s)


def test_philips_dynamics_carry_the_same_begin_time_in_two_elements(written_by):
    dynamic = written_by("Multiva").series("dyn_eTHRIVE")
    assert len({each.TriggerTime for each in dynamic}) == 5
    for each in dynamic:
        begin_s = each.private_block(0x2005, "Philips MR Imaging DD 001")[0xA0].value
        assert float(each.TriggerTime) == pytest.approx(1000 * begin_s, abs=0.1)


def test_ge_combined_series_has_no_temporal_position_identifier(written_by):
    written = written_by("MR750")
    dynamic = [each for each in written.instances if each.SeriesNumber == 5]
    assert len({each.AcquisitionTime for each in dynamic}) == 5
    assert not any("TemporalPositionIdentifier" in each for each in dynamic)


def test_the_localizer_holds_three_planes_in_one_series(written):
    localizer = [each for each in written.instances if each.SeriesNumber in (1, 101) and each.InstanceNumber < 10]
    assert len(localizer) == 9
    assert len({tuple(each.ImageOrientationPatient) for each in localizer}) == 3


def test_a_screen_save_and_a_subtraction_belong_to_the_study(written):
    assert sum(each.SOPClassUID == SecondaryCaptureImageStorage for each in written.instances) == 1
    assert {each.SOPClassUID for each in written.instances} == {MRImageStorage, SecondaryCaptureImageStorage}
    assert any("SUB" in each.SeriesDescription.upper() for each in written.instances)


def test_no_uid_stands_twice_and_all_belong_to_one_study(written):
    assert len({each.SOPInstanceUID for each in written.instances}) == len(written.instances)
    assert len({each.StudyInstanceUID for each in written.instances}) == 1


def test_chinese_text_survives_in_the_character_set_of_the_vendor(written, tmp_path):
    paths = write_study(written.study, tmp_path, chinese=True)
    instance = dcmread(paths[0])
    utf_8 = written.study.scanner.manufacturer == "UIH"
    assert instance.SpecificCharacterSet == ("ISO_IR 192" if utf_8 else "GB18030")
    assert instance.StudyDescription == "直肠MR平扫+动态增强"


def test_dcmtk_reads_an_instance_of_every_series(written):
    first = {path.parent: path for path in reversed(written.paths)}
    reply = subprocess.run(["dcmdump", "-q", *first.values()], capture_output=True, text=True, check=True, timeout=60)
    assert reply.stdout.count("(0008,0018)") == len(first)
    assert reply.stderr == ""


def test_dciodvfy_objects_to_nothing_but_the_trigger_time_that_real_dynamics_carry_too(written):
    first = {path.parent: path for path in reversed(written.paths)}
    for path in first.values():
        reply = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False, timeout=60)
        errors = [line for line in (reply.stdout + reply.stderr).splitlines() if line.startswith("Error")]
        assert all("TriggerTime(0018,1060)" in line for line in errors), errors
