"""`python -m models.research.training.super_resolution`."""

from models.research.training.super_resolution.train import app

if __name__ == "__main__":
    app()
