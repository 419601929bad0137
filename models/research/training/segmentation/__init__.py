"""Training and evaluation of the tumour segmentation: `python -m models.research.training.segmentation`."""
