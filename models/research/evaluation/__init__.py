"""How good a prediction, a mask or an image is: thin, tested functions over SciPy and scikit-learn."""
