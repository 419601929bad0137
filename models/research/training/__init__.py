"""Training scripts: one a network, and one for the prediction models; `models` rooms below know nothing of them."""
