"""Figures as text: the same number of digits in a column, a true minus sign, p-values as journals print them."""

from __future__ import annotations

from models.research.statistics.estimates import Estimate

NOTHING = "–"
"""Where there is no figure."""


def number(value: float, digits: int = 3) -> str:
    """A plain figure."""
    return _minus(f"{value:.{digits}f}")


def signed(value: float, digits: int = 3) -> str:
    """A difference: with its sign."""
    return _minus(f"{value:+.{digits}f}")


def interval(estimate: Estimate, digits: int = 3) -> str:
    """A share or a score over its interval."""
    return f"{number(estimate.value, digits)}\n({number(estimate.low, digits)} to {number(estimate.high, digits)})"


def signed_interval(estimate: Estimate, digits: int = 3) -> str:
    """A difference over its interval."""
    return f"{signed(estimate.value, digits)}\n({signed(estimate.low, digits)} to {signed(estimate.high, digits)})"


def p_value(p: float) -> str:
    """Three digits, or that it is below them."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def percent(part: int, of: int) -> str:
    """A count with its share."""
    return f"{part} ({100 * part / of:.0f} %)" if of else f"{part}"


def one_line(text: str) -> str:
    """A value and its interval in one line."""
    return text.replace("\n", " ")


def _minus(text: str) -> str:
    return text.replace("-", "−")
