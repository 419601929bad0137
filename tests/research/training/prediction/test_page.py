"""The page at the end of a prediction training: curves of every model, cards, weights; the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from models.manifest import Manifest
from models.prediction.records import Catalogue, CodedConcept, FeatureCard, ModelCard, Target
from models.research.training.prediction.page import write_page
from models.sequence import ANALYSED, Sequence

NAMES = ("T2WI normal", "T2WI super", "DWI normal", "DWI super")
TARGET = Target("Response", "complete", CodedConcept("COMPLETE", "99RECTALNODE", "Probability of complete response"))


def card(name: str) -> ModelCard:
    sequence, resolution = name.split()
    weights = np.arange(1, 13) / 78
    return ModelCard(
        name=name,
        file=f"{name}.cbm",
        inputs=(Sequence(sequence),),
        resolution=resolution,
        features=tuple(FeatureCard(name=f"{name}|{n}", low=0, high=1, weight=w) for n, w in enumerate(weights)),
        intercept=0.1,
        slope=0.9,
        cutoff=0.4,
        cross_validated_auc=0.71,
        cross_validated_auc_interval=(0.6, 0.8),
        leave_one_scanner_out_auc=0.66,
        cases=60,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Writes the page into a folder and returns its text."""
    root = tmp_path_factory.mktemp("pages")
    manifest = Manifest(
        name="rectal-prediction", version="7", kind="prediction", input_sequences=ANALYSED, architecture={},
        training_data="cohort my-cohort: 60 cases", intended_use="research use only", seed=3,
        metrics={"test_cohort": {"T2WI super": [0.625, 0.5, 0.75]}}, command="python -m training",
    )  # fmt: skip
    catalogue = Catalogue(target=TARGET, radiomics_digest="", models=tuple(card(name) for name in NAMES))
    labels = np.arange(60) % 2
    scanners = np.array(["GE MR750", "Siemens Skyra"])[np.arange(60) // 2 % 2]

    def write(folder: str, shift: float = 1.0) -> str:
        random = np.random.default_rng(1)
        found = {name: 1 / (1 + np.exp(-random.normal(size=60) - shift * (labels - 0.5))) for name in NAMES}
        write_page(root / folder, manifest, catalogue, labels, scanners, found)
        return (root / folder / "training.html").read_text()

    return write


@pytest.fixture(scope="module")
def text(written):
    return written("first")


def test_the_page_shows_the_curves_of_every_model_and_what_it_looks_at(text):
    assert text.count("data:image/svg+xml") == 4
    for told in (
        "rectal-prediction 7",
        "cohort my-cohort: 60 cases",
        "ROC, super resolution",
        "DWI, out of fold",
        "test_cohort › T2WI super",
        "0.625, 0.5, 0.75",
        "0.710 (0.600 to 0.800), 0.660 with a scanner left out",
        "models › T2WI super › weights › T2WI super|11",
    ):
        assert told in text
    assert "weights › T2WI super|1<" not in text, "only the ten heaviest features are listed"


def test_the_page_reads_as_recorded(text, words_of_page, reads_as_before):
    words, _, environment = words_of_page(text).partition("Environment\n")
    assert environment.startswith("python\n")
    reads_as_before("prediction-training", words)


def test_the_same_training_gives_the_same_page_and_other_probabilities_other_curves(written, text):
    assert written("second") == text
    assert written("third", shift=3.0) != text
