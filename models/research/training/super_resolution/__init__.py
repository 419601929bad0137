"""Training and evaluation of the super-resolution: `python -m models.research.training.super_resolution`."""
