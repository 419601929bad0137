"""Whether a finding can be what it is taken for: where it lies in the body, and what other images say of the place."""
