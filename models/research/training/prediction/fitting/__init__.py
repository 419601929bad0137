"""Feature selection, classifiers, cross-validation and ComBat, behind scikit-learn's interface."""
