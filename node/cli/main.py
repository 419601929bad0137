"""The command `rectal-node`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from node import logs
from node.cli import accounts, alerts, answer_check, audit, backup, quarantine, retention, retrieve, studies, train
from node.cli import cohort as cohorts
from node.cli import evaluate as evaluation
from node.cli import export as exports
from node.cli import models as bundles
from node.cli.options import CONFIG, ConfigOption, JsonOption, node_settings, out, show, watched
from node.errors import NodeError
from node.settings import former_keys, load_settings
from storage.privacy import keep_private, openness

if TYPE_CHECKING:
    from node.operations.configuration import CheckedConfiguration
    from node.operations.transfer import Sent

log = logging.getLogger(__name__)

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.add_typer(bundles.app, name="models")
app.add_typer(train.app, name="train")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(alerts.app, name="alerts")
app.add_typer(accounts.app, name="account")
app.add_typer(audit.app, name="audit")
app.registered_commands += studies.app.registered_commands
app.registered_commands += retention.app.registered_commands
app.registered_commands += backup.app.registered_commands
app.command("cohort")(cohorts.cohort)
app.command("evaluate")(evaluation.evaluate)
app.command("check-answer")(answer_check.check_answer)
app.command("export")(exports.export)
app.command("retrieve")(retrieve.retrieve)
app.command("retrievals")(retrieve.retrievals)

#: Packages of the extra `research`, by the name that they are imported by.
OF_THE_LABORATORY = frozenset({"docx", "lightning_fabric", "sklearn", "tensorboard", "threadpoolctl"})


def _print_versions(wanted: bool) -> None:
    if wanted:
        from node.cli.installed import versions

        for name, version in versions():
            out.print(f"{name} {version}", highlight=False)
        raise typer.Exit


@app.callback()
def rectal_node(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_versions,
            is_eager=True,
            help="Print the version and those of the libraries that decide results.",
        ),
    ] = False,
) -> None:
    """DICOM node for rectal MRI: studies in, findings out."""


@app.command()
def serve(
    config: ConfigOption = CONFIG,
    role: Annotated[
        list[str] | None,
        typer.Option(help="Only this role, repeatable: listener, web, retrieval, analysis, delivery, maintenance."),
    ] = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Run the node until it is told to stop."""
    settings = node_settings(config)
    logs.configure(log_level)
    for hint in former_keys(config):
        log.warning("%s", hint)
    if warning := openness(settings.root):
        log.warning("%s", warning)
    # Torch, MONAI and catboost take seconds to import; the other commands do without them.
    from node.service import Service, ServiceRole

    try:
        roles = frozenset(ServiceRole(name) for name in role) if role else frozenset(ServiceRole)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; known are {', '.join(ServiceRole)}", param_hint="--role") from error
    Service(settings, roles).run()


@app.command()
def send(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders that are searched for files.")],
    to: Annotated[str, typer.Option(help="AE title of the receiver.")] = "RECTALNODE",
    host: Annotated[str, typer.Option(help="Address of the receiver.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the receiver.")] = 11112,
    calling: Annotated[str, typer.Option(help="AE title to call with.")] = "RECTALSEND",
    as_json: JsonOption = False,
) -> None:
    """Send DICOM files by C-STORE; every file's fate is known at the end."""
    from node.operations.transfer import Receiver
    from node.operations.transfer import send as store

    sent = store(paths, Receiver(to, host, port, calling), watched("sending"))
    show(sent, as_json, _sent)
    raise typer.Exit(1 if sent.failures else 0)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Where the study is written.")],
    scanner: Annotated[str, typer.Option(help="Scanner model, e.g. 'Skyra'; see --list.")] = "Skyra",
    seed: Annotated[int, typer.Option(help="Patient number; the same seed gives the same bytes.")] = 1,
    list_scanners: Annotated[bool, typer.Option("--list", help="Show the scanners and end.")] = False,
) -> None:
    """Write a simulated rectal MRI study as one of six scanners writes it, with its truth beside it."""
    from models.research.phantom import find_scanner, load_scanners, simulate_study
    from node.simulator import write_study, write_truth

    if list_scanners:
        out.print("\n".join(f"{known.name} ({known.field_strength_t} T)" for known in load_scanners()))
        return
    study = simulate_study(seed, find_scanner(scanner))
    paths = write_study(study, folder / "dicom")
    write_truth(study, folder / "truth")
    out.print(f"{len(paths)} objects in {folder / 'dicom'}, truth in {folder / 'truth'}", highlight=False)


@app.command("super-resolve")
def super_resolve(
    source: Annotated[Path, typer.Argument(help="Folder of one DICOM series, or a NIfTI, NRRD or MetaImage file.")],
    target: Annotated[Path, typer.Argument(help="A volume file (.nii.gz, .nrrd, .mha), or a folder for DICOM.")],
    config: ConfigOption = CONFIG,
    modality: Annotated[str, typer.Option(help="MR, CT or US; of a DICOM series its header says it.")] = "MR",
    sequence: Annotated[str, typer.Option(help="Name of a DICOM result: T2WI, DWI or PVP.")] = "T2WI",
    denoise: Annotated[bool, typer.Option(help="Without it what the slices measured is kept with its noise.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Divide the voxels of one volume by the super-resolution of the configuration."""
    from node.operations.super_resolve import run as resolve

    made = resolve(source, target, load_settings(config), modality, sequence, denoise)
    show(made, as_json, lambda it: f"{it.images} images in {target}" if it.images else f"{target} written")


@app.command("evaluate-models")
def evaluate_models(
    output: Annotated[Path, typer.Option(help="Folder of tables and pictures.")] = Path("docs/models"),
    config: ConfigOption = CONFIG,
    real: Annotated[
        Path | None, typer.Option(help="Folder of the MR that real_volumes.csv and series.csv name.")
    ] = None,
    without_adversarial: Annotated[Path | None, typer.Option(help="Super-resolution bundle to show beside it.")] = None,
    cases: Annotated[int, typer.Option(min=0, help="Simulated patients of unseen scanners; 0 leaves them out.")] = 24,
    refined: Annotated[int, typer.Option(min=0, help="Of them for the super-resolution; 0 leaves it out.")] = 2,
    cache: Annotated[Path, typer.Option(help="Judged cases are kept here.")] = Path("runs/evaluation"),
    workers: Annotated[int, typer.Option(min=1, help="Processes of one thread each.")] = 2,
    outlines: Annotated[bool, typer.Option("--outlines", help="Draw the rectum in the pelvises of --real.")] = False,
    implants: Annotated[int, typer.Option(min=0, max=20, help="Painted tumours a size and pelvis of --real.")] = 0,
    minutes: Annotated[float | None, typer.Option(min=0, help="Of --implants; the next call goes on.")] = None,
) -> None:
    """Measure the networks of the configuration on held-out cases, beside interpolation and baselines."""
    from node.cli import evaluate_models as evaluation

    settings = load_settings(config)
    if refined:
        evaluation.super_resolution(settings, output, refined, real, without_adversarial, out)
    if cases:
        evaluation.segmentation(settings, output, cases, cache, workers, out)
    if outlines:
        evaluation.outlines(output, _needed(real, "--outlines"), out)
    if implants:
        evaluation.implants(settings, output, _needed(real, "--implants"), implants, cache, minutes, out)


def _needed(real: Path | None, by: str) -> Path:
    if real is None:
        raise NodeError(f"{by} needs --real, the folder of the real pelvises")
    return real


@app.command("new-config")
def new_config(
    path: Annotated[Path, typer.Argument(help="File to write; one that exists is left alone.")] = CONFIG,
) -> None:
    """Write a configuration with every key, its default and its reason, to be edited."""
    from node.cli.installed import configuration_for_this_machine

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(configuration_for_this_machine())
    except OSError as error:
        raise NodeError(f"{path}: cannot be written: {error.strerror}") from error
    out.print(f"{path}: written; `rectal-node check-config --config {path}` reads it", highlight=False, soft_wrap=True)


@app.command("check-config")
def check_config(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """Read the configuration and the model bundles; say what is wrong, one line a fault."""
    from node.operations.configuration import check

    keep_private()
    show(check(config), as_json, _checked)


@app.command()
def echo(
    to: Annotated[str, typer.Argument(help="AE title to ask; with --remote the name of a remote.")],
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 11112,
    calling: Annotated[str, typer.Option()] = "RECTALSEND",
    remote: Annotated[bool, typer.Option("--remote", help="As configured: with its TLS, user or token.")] = False,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Ask a system by C-ECHO whether it answers; a remote with a url by STOW-RS, without an object."""
    from node.operations.transfer import Receiver, echo_remote
    from node.operations.transfer import echo as ask

    echoed = echo_remote(load_settings(config), to) if remote else ask(Receiver(to, host, port, calling))
    show(echoed, as_json, lambda it: f"{to} ({it.receiver.address}): {'answers' if it.answers else it.reason}")
    raise typer.Exit(0 if echoed.answers else 1)


@app.command(hidden=True)
def demo(
    folder: Annotated[Path, typer.Argument()] = Path("demo"),
    serve: Annotated[bool, typer.Option("--serve", help="Go on serving the page until Ctrl-C.")] = False,
) -> None:
    """Run the whole node on simulated studies of four vendors; `make demo` calls this."""
    from node.cli.demo import run_demo, until_told_to_stop

    raise typer.Exit(run_demo(folder.absolute(), out, afterwards=until_told_to_stop if serve else None))


def _sent(sent: Sent) -> Text:
    text = Text()
    for outcome in sent.failures:
        text.append(f"{outcome.path}: {outcome.reason}\n", style="red")
    receiver = sent.receiver
    text.append(f"{sent.stored} of {sent.files} stored at {receiver.ae_title} ({receiver.host}:{receiver.port})")
    return text


def _checked(checked: CheckedConfiguration) -> Text:
    text = Text()
    for hint in checked.hints:
        text.append(f"{hint}\n", style="yellow")
    for bundle in checked.bundles:
        text.append(f"{bundle.kind}: {bundle.name} {bundle.version} ({bundle.digest[:12]})")
        text.append(f", {bundle.execution} on {checked.threads} threads\n" if bundle.execution else "\n")
    for warning in checked.warnings:
        text.append(f"warning: {warning}\n", style="yellow")
    text.append(f"{checked.path}: good; listens as {checked.ae_title} on port {checked.listens_on}")
    return text


def _of_disk_or_database(error: Exception) -> str:
    """What the disk or a database could not do, in one line; empty for other errors."""
    from storage.database_faults import told, told_of_disk

    if isinstance(error, OSError):
        return told_of_disk(error, str(error.filename or "this machine"))
    return told(error, "the database")


def run() -> None:
    """Entry point: an error of the node's own families, of the disk or of a database is one line, not a traceback."""
    from models.errors import ModelError, ProcessKilledError
    from storage.errors import StorageError

    logs.configure("WARNING")
    try:
        app()
    except (NodeError, ModelError, ProcessKilledError, StorageError) as error:
        message = str(error)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in OF_THE_LABORATORY:
            raise
        message = f"{error.name} is not installed; this command needs the extra `research`: pip install '.[research]'"
    except Exception as error:
        message = _of_disk_or_database(error)
        if not message:
            raise
    else:
        return
    # As it is: no wrapping, and no square bracket of a message taken for markup.
    Console(stderr=True).print(Text(message, style="red"), soft_wrap=True)
    sys.exit(1)
