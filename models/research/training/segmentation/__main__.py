"""`python -m models.research.training.segmentation`."""

from models.research.training.segmentation.train import app

if __name__ == "__main__":
    app()
