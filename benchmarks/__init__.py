"""Measurements of the node beside others, in turns within one run; `make bench` runs all of them."""
