"""A cohort in the layout that nnU-Net v2 reads."""

from __future__ import annotations

import json

import numpy as np
import SimpleITK as sitk

from models.research.cohort.reading import read_cohort
from models.research.cohort.records import CaseFacts, Equipment, Needs, Split
from models.research.cohort.writing import NewVolume, write_case
from models.research.experiments.nnunet import write_dataset
from models.sequence import Sequence
from models.volume import Grid, grid_of, image_from

GRID = Grid((10, 9, 4), (0.8, 0.8, 6.0), (-10.0, 20.0, 5.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
SPLITS = {"A": Split.TRAIN, "B": Split.TRAIN, "FREE": Split.TRAIN, "T": Split.TEST}


def volume(seed: int, tumour: bool) -> NewVolume:
    """Noise, with a tumour of two voxels or none."""
    mask = np.zeros(GRID.size[::-1], np.uint8)
    mask[1, 2, 3:5] = tumour
    values = np.random.default_rng(seed).uniform(1, 500, mask.shape).astype(np.float32)
    return NewVolume(image_from(values, GRID), image_from(mask, GRID), {})


def test_images_labels_and_description_are_as_nnunet_names_them_and_masks_of_test_cases_stay_out(tmp_path):
    for seed, (name, split) in enumerate(SPLITS.items()):
        facts = CaseFacts(name, name, Equipment("Siemens", "Skyra", 3.0), split, tumour=name != "FREE")
        write_case(tmp_path / "cohort", facts, {Sequence.T2WI: volume(seed, facts.tumour)})
    cases = read_cohort(tmp_path / "cohort", Needs(sequences=(Sequence.T2WI,), cases=1)).cases
    folder = write_dataset(cases, tmp_path / "raw", Sequence.T2WI)

    assert folder.name == "Dataset001_T2WI"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    images = {f"imagesTr/{name}_0000.nii.gz" for name in ("A", "B", "FREE")}
    labels = {f"labelsTr/{name}.nii.gz" for name in ("A", "B", "FREE")}
    assert found == images | labels | {"imagesTs/T_0000.nii.gz", "dataset.json"}
    assert json.loads((folder / "dataset.json").read_text()) == {
        "channel_names": {"0": "T2WI"},
        "labels": {"background": 0, "tumour": 1},
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    for name, voxels in (("A", 2), ("FREE", 0)):
        image, mask = (
            sitk.ReadImage(folder / part) for part in (f"imagesTr/{name}_0000.nii.gz", f"labelsTr/{name}.nii.gz")
        )
        values = sitk.GetArrayFromImage(mask)
        assert set(np.unique(values)) <= {0, 1}
        assert values.sum() == voxels
        assert grid_of(image) == grid_of(mask)
