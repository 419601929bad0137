"""The report of a super-resolution: means by group and method, gains by volume, and whether the goal is met."""

from __future__ import annotations

from models.research.documents.blocks import Document
from models.research.documents.markdown import markdown
from models.research.training.super_resolution.report import MEASURES, tables


def row(group: str, source: str, method: str, gain: float) -> dict[str, str | float]:
    return {
        "group": group,
        "source": source,
        "contrast": "T2WI",
        "method": method,
        "psnr_db": 30.0 + gain,
        "gain_db": gain,
        "ssim": 0.9 + gain / 100,
        "edge_gradient": 0.8,
        "edge_width": 2.5,
        "disagreement": 0.004,
        "noise": 0.01,
    }


def test_the_report_holds_means_gains_and_the_goal(reads_as_before):
    rows = [
        row(group, source, method, gain)
        for group, source, best in (("simulated", "Skyra 1", 3.0), ("simulated", "Skyra 2", 2.0), ("real", "A", 1.0))
        for method, gain in (("cubic_b_spline", 0.0), ("linear", -0.5), ("super_resolution", best))
    ]
    _, _, text = markdown(Document("Super-resolution", MEASURES, tuple(tables(rows)))).partition("\n")
    assert "Goal: +2.0 dB above cubic B-spline: +2.50 dB, reached." in text
    assert "Goal: +1.5 dB above cubic B-spline: +1.00 dB, missed by 0.50 dB." in text
    reads_as_before("super-resolution", text)
