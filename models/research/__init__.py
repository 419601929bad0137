"""The laboratory: what simulates, trains, measures and reports models. Serving imports nothing of it."""
