"""Figures with their intervals, and whether two measurements agree: below everything that measures or judges."""
