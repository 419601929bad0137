"""Thick slices to thin ones: 3D generator refining the through-plane axis, trained against a discriminator."""
