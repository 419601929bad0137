"""Volumes of stored series as pictures: slices in three planes, and contours of segmentations over them."""
