"""Which series of a study is what, from the headers alone: physics and geometry first, text last."""
