"""Phantom volumes written as the six scanners write them, and the truth beside them."""

from node.simulator.study import write_study
from node.simulator.truth import TruthRecord, read_truth, write_truth

__all__ = ["TruthRecord", "read_truth", "write_study", "write_truth"]
