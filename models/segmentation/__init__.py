"""Where is the tumour: preprocessing, 3D U-Net++ with deep supervision, sliding window, plausibility."""
