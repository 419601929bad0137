"""`rectal-node train`: the training scripts under one roof; each option goes to the script as it is."""

from __future__ import annotations

import runpy
import sys

import typer

app = typer.Typer(no_args_is_help=True, help="Train models on a cohort (--data) or on simulated studies.")

#: Everything after the name is the script's, --help too.
_FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=_FORWARD)
def segmentation(context: typer.Context) -> None:
    """Tumour segmentation: `python -m models.research.training.segmentation`."""
    _run("models.research.training.segmentation", context.args)


@app.command(context_settings=_FORWARD)
def prediction(context: typer.Context) -> None:
    """Prediction from radiomics: `python -m models.research.training.prediction`."""
    _run("models.research.training.prediction", context.args)


@app.command("super-resolution", context_settings=_FORWARD)
def super_resolution(context: typer.Context) -> None:
    """Super-resolution: `python -m models.research.training.super_resolution`."""
    _run("models.research.training.super_resolution", context.args)


def _run(module: str, arguments: list[str]) -> None:
    """Run a script as its own process would: its manifest then holds the command that makes it again."""
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
