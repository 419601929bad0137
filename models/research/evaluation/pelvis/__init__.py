"""Real pelvises without a rectal tumour: their rectum, outlined by hand, and tumours painted into them."""
