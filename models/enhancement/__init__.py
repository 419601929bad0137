"""The time of contrast injection, measured in the images of a dynamic run.

docs/recognition/injection-time.md has the method, the sources, the measured errors and the limits.
"""
