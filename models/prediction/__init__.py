"""From features to a probability: selection, fit, the bundle of boosted trees, prediction."""
