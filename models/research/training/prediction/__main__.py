"""`python -m models.research.training.prediction`."""

from models.research.training.prediction.train import app

if __name__ == "__main__":
    app()
