"""`python -m models.research.training.prediction.own_masks`."""

from models.research.training.prediction.own_masks.compare import app

if __name__ == "__main__":
    app()
