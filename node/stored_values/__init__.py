"""The meaning of the stored values of an image: from the bits of its pixel cells to the scanner's own intensities.

Everything that changes the meaning of a stored value is applied here or refused by name, in this order, for every
frame of classic and multi-frame images alike: `cells` takes the value out of the cell, tells padding from image and
turns an inverted image back; `scale` finds the one linear scale that makes the slices of a stack comparable.

The image is turned back before the scale is applied. Over the full range of the stored bits the order makes no
difference (slope × (lowest + highest - stored) + intercept is also the scaled range turned round), and Rescale Slope
and Intercept go on meaning what they mean in the images of a writer that does not invert.
"""
