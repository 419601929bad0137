"""nnU-Net v2 as a stranger would run it: its own environment, its dataset layout, its three commands.

Only the trainer differs, which stops by the clock (`nnunet_trainer.py`). Everything is single-threaded.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from pathlib import Path

from models.research.cohort.records import Case, Split
from models.sequence import Sequence

PACKAGES = ("nnunetv2==2.8.1", "torch==2.13.0")
"""A looser request for torch fetches the CUDA build, several gigabytes."""
DATASET = "Dataset001_T2WI"
CONFIGURATION = "3d_fullres"
TRAINER = "WithinTime"
LABELS = {"background": 0, "tumour": 1}


@dataclass(frozen=True, slots=True)
class NnunetPlan:
    """Options of nnU-Net: nothing, or another spacing (z, y, x; mm), memory to plan for (GB) and precision."""

    name: str = "nnUNetPlans"
    spacing_mm: tuple[float, float, float] | None = None
    memory_gb: float | None = None
    precision: str = "32-true"

    @property
    def options(self) -> tuple[str, ...]:
        """For `nnUNetv2_plan_and_preprocess`."""
        spacing, memory = self.spacing_mm, self.memory_gb
        told = ("-overwrite_target_spacing", *(f"{step:g}" for step in spacing)) if spacing else ()
        told += ("-gpu_memory_target", f"{memory:g}") if memory else ()
        return (*told, "-overwrite_plans_name", self.name) if told else ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """The planner's choice: patch in voxels and spacing in mm (z, y, x), patches a step."""

    patch: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    batch: int


@dataclass(frozen=True, slots=True)
class Trained:
    """Results of the trainer: steps, their time, and how well bfloat16 gradients agree (0: not asked for)."""

    steps: int
    seconds: float
    precision: str
    agreement: float
    million_weights: float


@dataclass(frozen=True, slots=True)
class NnUnet:
    """An installed nnU-Net and the folder that holds its raw, preprocessed and result folders."""

    environment: Path
    folder: Path

    def run(self, command: str, *options: str, **told: str) -> float:
        """One of its commands with `told` in its environment, output in `folder`/COMMAND.log; returns CPU time in s.

        Raises:
            subprocess.CalledProcessError: the command failed; the log says why.
        """
        settings = {
            f"nnUNet_{part}": str((self.folder / part).resolve()) for part in ("raw", "preprocessed", "results")
        }
        # nnUNet_def_n_proc is also the number of torch threads in a prediction.
        settings |= {"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1"}
        settings |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "BLOSC")}
        began = _children_seconds()
        with (self.folder / f"{command}.log").open("a", encoding="utf-8") as log:
            program = str(self.environment / "bin" / command)
            subprocess.run(
                [program, *options],
                env={**os.environ, **settings, **told},
                stdout=log,
                stderr=subprocess.STDOUT,
                check=True,
            )
        return _children_seconds() - began

    def plan(self, plan: NnunetPlan) -> float:
        """Fingerprint, plan and preprocessing of the training cases; returns s."""
        single = ("-npfp", "1", "-np", "1", "--no_pbar", "--clean")
        return self.run("nnUNetv2_plan_and_preprocess", "-d", "1", "-c", CONFIGURATION, *single, *plan.options)

    def chosen(self, plan: NnunetPlan) -> Configuration:
        """Read from the plan that `plan` has made."""
        text = (self.folder / "preprocessed" / DATASET / f"{plan.name}.json").read_text("utf-8")
        found = json.loads(text)["configurations"][CONFIGURATION]
        return Configuration(tuple(found["patch_size"]), tuple(found["spacing"]), found["batch_size"])

    def train(self, plan: NnunetPlan, seconds: float, least_agreement: float) -> Trained:
        """Steps on all training cases until the time is over."""
        told = {"COMPARISON_SECONDS": str(seconds), "COMPARISON_PRECISION": plan.precision}
        # Patches are augmented between the steps, in the same process.
        told |= {"COMPARISON_AGREEMENT": str(least_agreement), "nnUNet_n_proc_DA": "0"}
        where = ("1", CONFIGURATION, "all", *self._model(plan), "-device", "cpu")
        self.run("nnUNetv2_train", *where, **told)
        results = self.folder / "results" / DATASET / f"{TRAINER}__{plan.name}__{CONFIGURATION}" / "fold_all"
        return Trained(**json.loads((results / "steps.json").read_text("utf-8")))

    def predict(self, plan: NnunetPlan, precision: str) -> tuple[Path, float]:
        """Folder of the masks of the test cases (CASE.nii.gz, on the acquired grid), and s for all of them.

        Without the eight mirrored copies that its authors average over: minutes a case on one thread.
        """
        images = self.folder / "raw" / DATASET / "imagesTs"
        masks = self.folder / "found" / plan.name
        where = ("-i", str(images), "-o", str(masks), "-d", "1", "-c", CONFIGURATION, "-f", "all")
        single = ("-npp", "0", "-nps", "0", "-device", "cpu", "--disable_progress_bar")
        options = (*where, *single, "--disable_tta", *self._model(plan))
        return masks, self.run("nnUNetv2_predict", *options, COMPARISON_PRECISION=precision)

    @staticmethod
    def _model(plan: NnunetPlan) -> tuple[str, ...]:
        return ("-tr", TRAINER, "-p", plan.name)


def _children_seconds() -> float:
    """CPU time of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def install(folder: Path) -> Path:
    """The environment in `folder`, made where it is missing; gigabytes, and a minute or more.

    Our trainer is put among nnU-Net's own, which are searched first: looking elsewhere imports all of theirs, and some
    need a torchvision that fails to load beside a CPU build of torch.
    """
    if not (folder / "bin" / "nnUNetv2_train").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *PACKAGES], check=True)
    (trainers,) = folder.glob("lib/python*/site-packages/nnunetv2/training/nnUNetTrainer")
    shutil.copyfile(Path(__file__).with_name("nnunet_trainer.py"), trainers / "nnunet_trainer.py")
    return folder


def write_dataset(cases: Iterable[Case], raw: Path, sequence: Sequence) -> Path:
    """The training and test cases of a cohort in nnU-Net's layout; returns the folder of the dataset.

    `imagesTr/CASE_0000.nii.gz`, `labelsTr/CASE.nii.gz`, `imagesTs/CASE_0000.nii.gz`, `dataset.json`. Masks of the
    test cases stay out of it.
    """
    folder = raw / DATASET
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / part).mkdir(parents=True)
    training = 0
    for case in cases:
        volume, name = case.volumes[sequence], case.facts.case_id
        if case.facts.split is Split.TEST:
            shutil.copyfile(volume.image, folder / "imagesTs" / f"{name}_0000.nii.gz")
        elif volume.mask is not None:
            shutil.copyfile(volume.image, folder / "imagesTr" / f"{name}_0000.nii.gz")
            shutil.copyfile(volume.mask, folder / "labelsTr" / f"{name}.nii.gz")
            training += 1
    (folder / "dataset.json").write_text(_description(sequence, training), "utf-8")
    return folder


def _description(sequence: Sequence, training: int) -> str:
    channels: dict[str, str] = {"0": sequence.value}
    facts: dict[str, object] = {"channel_names": channels, "labels": LABELS, "numTraining": training}
    return json.dumps({**facts, "file_ending": ".nii.gz"}, indent=1)


def shape(values: SequenceOf[float]) -> str:
    """24 x 48 x 48."""
    return " x ".join(f"{value:g}" for value in values)
