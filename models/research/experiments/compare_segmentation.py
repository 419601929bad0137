"""Our U-Net++, MONAI's plain 3D U-Net and nnU-Net v2, each trained for the same time on the same simulated cases.

    python -m models.research.experiments.compare_segmentation --seconds 480

All find the tumour in T2WI; the U-Net++ as it is shipped also reads DWI and PVP. One thread each, one after the other.
Seconds are CPU time, which is wall time where nothing else runs. `--methods` names those to run now; the table shows
all that have been run in the folder. Patients without tumour are in training and test as in the cohort. Writes
segmentation-comparison.csv (one row a method) and segmentation-comparison-cases.csv (one row a case) beside its page
in models/research/experiments/results.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated

import SimpleITK as sitk
import torch
import typer
from monai.networks.nets import BasicUNet
from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.progress import track
from torch import nn

from models.manifest import Manifest
from models.research.cohort.reading import read_cohort
from models.research.cohort.records import Case, CaseFacts, Equipment, Needs, Split
from models.research.cohort.writing import NewVolume, write_case, written_cases
from models.research.experiments import comparison_table as table
from models.research.experiments import nnunet
from models.research.experiments.comparison_table import Result, Training
from models.research.networks import segmenter_of, tumour_mask, tumour_probabilities
from models.research.phantom.cohort import TEST, TRAINING, SimulatedCohort
from models.research.phantom.study import simulate_case
from models.research.training import loop
from models.research.training.segmentation import train as segmentation
from models.research.training.segmentation.augmentation import training_transform
from models.research.training.segmentation.cohort_cases import prepared_cohort
from models.research.training.segmentation.loss import deep_supervision_loss
from models.research.training.segmentation.patches import Drawing, batches, random_patch
from models.research.training.segmentation.prepared_cases import PreparedCase
from models.segmentation.inference import InferenceSettings
from models.segmentation.network import KIND, build_network
from models.sequence import ANALYSED, Sequence
from models.volume_files import read

T2WI = Sequence.T2WI
SEED = 20
#: Outputs of the U-Net++ that the loss expects.
HEADS = 4
#: Steps between two looks at the clock.
BATCHES = 4
#: Least cosine of a weight's bfloat16 gradient with its float32 gradient; some patch sizes go wrong on a CPU.
LEAST_AGREEMENT = 0.8
#: Memory that nnU-Net is told to plan for beside its default of 8 GB, which gives patches of millions of voxels.
SMALL_GB = 1.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Settings that all methods share."""

    folder: Path
    training: list[Case]
    test: list[Case]
    seconds: float
    widths: tuple[int, ...]
    settings: InferenceSettings = field(default_factory=InferenceSettings)


def main(
    methods: Annotated[str, typer.Option(help="those to run now, comma separated; none: only prepare and tabulate")] = (
        "shipped,unet-plus-plus,unet,nnunet-small,nnunet"
    ),
    seconds: Annotated[float, typer.Option(min=1, help="of training on one core, each")] = 480,
    cases: Annotated[int, typer.Option(min=2, help="to train on")] = 48,
    test_cases: Annotated[int, typer.Option(min=1, help="of the scanners that nothing is trained on")] = 16,
    features: Annotated[str, typer.Option(help="widths of U-Net++ and U-Net")] = "16,16,32,64,128,16",
    folder: Annotated[Path, typer.Option(help="cases, environment of nnU-Net, results")] = Path("runs/comparison"),
    output: Annotated[Path, typer.Option(help="folder of the tables")] = Path("docs/models"),
) -> None:
    """Simulate what is missing, train and judge the methods, write the tables."""
    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    training = _cohort(folder / "cohort", TRAINING, cases, Split.TRAIN)
    test = _cohort(folder / "cohort", TEST, test_cases, Split.TEST)
    shared = Comparison(folder, training, test, seconds, segmentation.widths(features))
    for name in filter(None, methods.split(",")):
        if name not in METHODS:
            raise typer.BadParameter(f"no method is called {name}; known are {', '.join(METHODS)}")
        table.keep(METHODS[name](shared), folder / f"{name}.json")
    results = [table.kept(folder / f"{name}.json") for name in METHODS if (folder / f"{name}.json").exists()]
    if not results:
        return
    rows = [table.table_row(result) for result in results]
    table.write_csv(output / "segmentation-comparison.csv", rows)
    judged = [{"method": it.training.method, **asdict(one)} for it in results for one in it.judgements]
    table.write_csv(output / "segmentation-comparison-cases.csv", judged)
    Console(width=200).print(*table.markdown(rows), sep="\n", soft_wrap=True)


def _cohort(folder: Path, patients: SimulatedCohort, count: int, split: Split) -> list[Case]:
    """The first studies of a simulated cohort, whole fields of view; those on disk are read."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"sim-{seed}": (seed, scanner) for seed, scanner in islice(patients.patients(), count)}
    known = {facts.case_id for facts in written_cases(folder)}
    missing = [name for name in wanted if name not in known]
    for name in track(missing, f"simulating {split}", disable=not missing):
        seed, scanner = wanted[name]
        case = simulate_case(seed, scanner)
        volumes = {sequence: NewVolume(image, case.masks[sequence], {}) for sequence, image in case.images.items()}
        equipment = Equipment(scanner.manufacturer, scanner.model, scanner.field_strength_t)
        tumour = bool(sitk.GetArrayViewFromImage(case.masks[T2WI]).any())
        write_case(folder, CaseFacts(name, name, equipment, split, tumour=tumour), volumes)
    read_back = read_cohort(folder, Needs(sequences=ANALYSED, cases=1))
    return [case for case in read_back.cases if case.facts.case_id in wanted]


# --- U-Net++ and U-Net: same preprocessing, patches, optimizer, loss, schedule -------------------------------------


class OneOutput(nn.Module):
    """MONAI's plain U-Net, whose one output stands for all heads of the U-Net++: same loss without deep supervision."""

    def __init__(self, widths: SequenceOf[int]) -> None:
        super().__init__()
        self.network = BasicUNet(spatial_dims=3, in_channels=1, out_channels=1, features=tuple(widths))

    def forward(self, patch: torch.Tensor) -> list[torch.Tensor]:
        return [self.network(patch)] * HEADS


def shipped(shared: Comparison) -> Result:
    """The recipe that is shipped: it reads all sequences of a case together."""
    order = ANALYSED
    return _trained_here("U-Net++, all sequences", lambda: build_network(shared.widths, len(order)), order, shared)


def unet_plus_plus(shared: Comparison) -> Result:
    """The same network on T2WI alone."""
    return _trained_here("U-Net++", lambda: build_network(shared.widths, 1), (T2WI,), shared)


def unet(shared: Comparison) -> Result:
    """The same widths without nested skip pathways and deep supervision."""
    return _trained_here("U-Net (MONAI BasicUNet)", lambda: OneOutput(shared.widths), (T2WI,), shared)


def _trained_here(name: str, build: Callable[[], nn.Module], order: tuple[Sequence, ...], shared: Comparison) -> Result:
    prepared, preparation = _prepared(order, shared)
    network = _untrained(build)
    sample = max(prepared, key=lambda case: case.name)
    agreement = gradient_agreement(network, sample, shared.settings)
    precision = "bf16-mixed" if agreement >= LEAST_AGREEMENT else "32-true"
    typer.echo(f"{name}: bfloat16 gradients agree to {agreement:.3f} at least, {precision}")
    steps, seconds = _train(network, prepared, order, shared, precision)
    facts = Training(
        method=name,
        steps=steps,
        seconds=seconds,
        preparation_seconds=preparation,
        batch=1,
        patch=nnunet.shape(shared.settings.window),
        spacing_mm=nnunet.shape(shared.settings.preprocessing.spacing_mm[::-1]),
        precision=precision,
        million_weights=sum(weights.numel() for weights in network.parameters()) / 1e6,
    )
    segmenter = segmenter_of(_manifest(name, order, shared), shared.settings, network.eval())
    began = time.process_time()
    masks = {}
    for case in shared.test:
        images = {sequence: read(case.volumes[sequence].image) for sequence in order}
        probability = tumour_probabilities(images, segmenter)[T2WI]
        masks[case.facts.case_id] = tumour_mask(probability, images[T2WI], segmenter)
    inference = time.process_time() - began
    return Result(facts, _judged(masks, shared.test), inference)


def _prepared(order: tuple[Sequence, ...], shared: Comparison) -> tuple[list[PreparedCase], float]:
    """The training cases on the network's grid, and the s that this took when it was done first."""
    settings, cache = shared.settings.preprocessing, shared.folder / "cache"
    began = time.process_time()
    prepared, faults = prepared_cohort(shared.training, order, settings, cache)
    kept = cache / f"{len(prepared)} {'-'.join(order)} at {nnunet.shape(settings.spacing_mm)}.txt"
    if not kept.exists():
        kept.write_text(str(time.process_time() - began), "utf-8")
    for fault in faults:
        typer.echo(f"trained on as it is: {fault}")
    return prepared, float(kept.read_text("utf-8"))


def _untrained(build: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(SEED)
    return build()


def _train(
    network: nn.Module,
    prepared: SequenceOf[PreparedCase],
    order: tuple[Sequence, ...],
    shared: Comparison,
    precision: str,
) -> tuple[int, float]:
    """Steps until the time is over; the learning rate falls with it as in the recipe. Returns steps and s."""
    recipe = segmentation.SegmentationRecipe(
        epochs=1,
        batches=BATCHES,
        batch_size=1,
        cases=len(shared.training),
        seed=SEED,
        optimizer=segmentation.Optimizer.ADAMW,
        learning_rate=1e-3,
        features=shared.widths,
        sequences=order,
        trained_on=TRAINING.models,
        devices=1,
        precision=precision,
        data="",
    )
    fabric = loop.start(shared.folder / "fabric", SEED, "cpu", 1, precision, threads=1)
    moved = segmentation.build_optimizer(recipe.optimizer, network, recipe.learning_rate)
    parts = dict(zip(("network", "optimizer"), fabric.setup(network, moved), strict=True))
    run = segmentation.SegmentationRun(fabric, shared.folder / "fabric", recipe, shared.settings, network, parts)
    drawing = Drawing(shared.settings.window, recipe.batch_size, SEED)
    silent, rounds, began = ProgressBar(disable=True), 0, time.process_time()
    while (gone := time.process_time() - began) < shared.seconds:
        loop.set_rate(
            moved, recipe.learning_rate * loop.poly_rate(1.0, round(gone * 1000), round(shared.seconds * 1000))
        )
        numbers = range(rounds * BATCHES, (rounds + 1) * BATCHES)
        loss = segmentation.train_epoch(run, batches(prepared, drawing, numbers), silent, rounds)
        rounds += 1
        if rounds % 25 == 0:
            typer.echo(f"step {rounds * BATCHES}  loss {loss:.3f}  {gone:.0f} s")
    return rounds * BATCHES, time.process_time() - began


def gradient_agreement(network: nn.Module, case: PreparedCase, settings: InferenceSettings) -> float:
    """Lowest cosine, over all weights of more than one dimension, of bfloat16 and float32 gradients on one patch."""
    transform = training_transform(settings.window)
    transform.set_random_state(SEED)
    images, shares, known = (it[None] for it in random_patch(case, transform, random.Random(SEED)))
    found = []
    for enabled in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            heads = network(images)
        deep_supervision_loss(heads, shares, known).backward()
        gradients = [weight.grad for weight in network.parameters() if weight.grad is not None and weight.dim() > 1]
        found.append([gradient.flatten().clone() for gradient in gradients])
    network.zero_grad()
    cosines = [float(torch.cosine_similarity(a, b, dim=0)) for a, b in zip(*found, strict=True)]
    return min(cosines)


def _manifest(name: str, order: tuple[Sequence, ...], shared: Comparison) -> Manifest:
    data = f"{len(shared.training)} simulated cases"
    return Manifest(
        name=name,
        version="0",
        kind=KIND,
        input_sequences=order,
        architecture={},
        training_data=data,
        seed=SEED,
        command="python -m models.research.experiments.compare_segmentation",
    )


# --- nnU-Net ------------------------------------------------------------------------------------------------------


def nnunet_as_installed(shared: Comparison) -> Result:
    """As its planner and its authors choose."""
    return _nnunet("nnU-Net v2 as installed", nnunet.NnunetPlan(), shared)


def nnunet_small(shared: Comparison) -> Result:
    """Told the voxel size of the U-Net++, to plan for little memory and to use bfloat16: more steps in the time."""
    x, y, z = shared.settings.preprocessing.spacing_mm
    plan = nnunet.NnunetPlan("Small", (z, y, x), SMALL_GB, "bf16-mixed")
    return _nnunet("nnU-Net v2, planned small", plan, shared)


def _nnunet(name: str, plan: nnunet.NnunetPlan, shared: Comparison) -> Result:
    tool = nnunet.NnUnet(nnunet.install(shared.folder / "nnunet-environment"), shared.folder / "nnunet")
    nnunet.write_dataset([*shared.training, *shared.test], tool.folder / "raw", T2WI)
    preparation = tool.plan(plan)
    chosen = tool.chosen(plan)
    typer.echo(f"{name}: {chosen}")
    done = tool.train(plan, shared.seconds, LEAST_AGREEMENT)
    facts = Training(
        method=name,
        steps=done.steps,
        seconds=done.seconds,
        preparation_seconds=preparation,
        batch=chosen.batch,
        patch=nnunet.shape(chosen.patch),
        spacing_mm=nnunet.shape(chosen.spacing_mm),
        precision=done.precision,
        million_weights=done.million_weights,
    )
    masks, inference = tool.predict(plan, done.precision)
    found = {case.facts.case_id: sitk.ReadImage(str(masks / f"{case.facts.case_id}.nii.gz")) for case in shared.test}
    return Result(facts, _judged(found, shared.test), inference)


def _judged(found: Mapping[str, sitk.Image], cases: SequenceOf[Case]) -> list[table.Judgement]:
    return [table.judge(found[case.facts.case_id], case.facts, case.volumes[T2WI]) for case in cases]


METHODS: dict[str, Callable[[Comparison], Result]] = {
    "shipped": shipped,
    "unet-plus-plus": unet_plus_plus,
    "unet": unet,
    "nnunet-small": nnunet_small,
    "nnunet": nnunet_as_installed,
}


if __name__ == "__main__":
    typer.run(main)
