"""The prediction under masks that the segmentation found: `python -m models.research.training.prediction.own_masks`."""
