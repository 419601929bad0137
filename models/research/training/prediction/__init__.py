"""Training and report of the prediction models: `python -m models.research.training.prediction`."""
