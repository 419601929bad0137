"""A digital pelvis, a man's or a woman's, in simulated scanners: anatomy, tissue, physics, protocols, and the truth."""

from models.research.phantom.scanners import Protocol, Scanner, find_scanner, load_scanners
from models.research.phantom.study import (
    SimulatedCase,
    SimulatedSeries,
    SimulatedStudy,
    Truth,
    high_resolution,
    simulate_case,
    simulate_study,
    tissue_label_map,
)

__all__ = [
    "Protocol",
    "Scanner",
    "SimulatedCase",
    "SimulatedSeries",
    "SimulatedStudy",
    "Truth",
    "find_scanner",
    "high_resolution",
    "load_scanners",
    "simulate_case",
    "simulate_study",
    "tissue_label_map",
]
