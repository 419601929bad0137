"""The figures of the features: their weights in the models, and how alike they are at two resolutions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from models.prediction.records import Catalogue
from models.research.evaluation.feature_stability import FeatureStability
from models.research.evaluation.report.style import RULE, SOFT, heading, legend, panels, resolution_line


def feature_weights(catalogue: Catalogue) -> Figure:
    """Weights of the chosen features of every model of a bundle: a row an input, normal and super side by side."""
    inputs = list(dict.fromkeys(card.name.rpartition(" ")[0] for card in catalogue.models))
    resolutions = list(dict.fromkeys(card.resolution for card in catalogue.models))
    most = max(len(card.features) for card in catalogue.models)
    figure, grid = panels(len(inputs), len(resolutions), 4.65, 0.7 + 0.15 * most)
    for row, looks_at in zip(grid, inputs, strict=True):
        for axes, resolution in zip(row, resolutions, strict=True):
            heading(axes, f"{looks_at}, {resolution}")
            cards = [card for card in catalogue.models if card.name == f"{looks_at} {resolution}"]
            features = sorted((f for card in cards for f in card.features), key=lambda feature: feature.weight)
            names = [_feature(feature.name, len(cards[0].inputs) > 1) for feature in features]
            axes.barh(range(len(features)), [feature.weight for feature in features], 0.7, color=SOFT)
            axes.set_yticks(range(len(features)), names, fontsize=5.5)
            axes.set_xlabel("weight")
            axes.grid(axis="y", visible=False)
    return figure


def feature_stability(stability: Sequence[FeatureStability]) -> Figure:
    """Share of the features whose ICC is at least so high, a panel a sequence, a line a resolution."""
    sequences = list(dict.fromkeys(row.sequence for row in stability))
    figure, grid = panels(1, len(sequences), 3.1, 2.7)
    for axes, sequence in zip(grid[0], sequences, strict=True):
        heading(axes, sequence)
        for resolution in dict.fromkeys(row.resolution for row in stability if row.sequence == sequence):
            icc = sorted(r.icc.value for r in stability if (r.sequence, r.resolution) == (sequence, resolution))
            share = 1 - np.arange(len(icc)) / len(icc)
            axes.step(icc, share, where="pre", linewidth=1.4, label=resolution, **resolution_line(resolution))
        axes.axvline(0.75, color=RULE, linewidth=0.8, zorder=0)
        axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="ICC with normal resolution", ylabel="share of features")
        legend(axes, "lower left")
    return figure


def _feature(name: str, with_sequence: bool) -> str:
    """`T2WI|super|original_firstorder_Mean` without what the panel's title says."""
    sequence, _, rest = name.split("|")
    return f"{sequence} {rest}" if with_sequence else rest
