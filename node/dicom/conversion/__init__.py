"""A DICOM object in another transfer syntax, with the values that it had; knows no network.

Not by pydicom's writer: it decodes and encodes every value, so text that its character set does not allow, numbers
out of range and padding come out as other bytes or as an error, and OW values keep the byte order that they had. Here
element headers are rewritten and values stay the bytes that they were, swapped where the byte order changes. Only
pixels are decoded, by pydicom's decoders, frame by frame.
"""
