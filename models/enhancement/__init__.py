"""The time of contrast injection, measured in the images of a dynamic run.

docs/recognition/injection-time.md has the method, the sources, the measured errors and the limits.
"""

from models.enhancement.injection import DELAY_DEVIATION_S, DELAY_S, Injection, measure_injection
from models.enhancement.phases import Phase

__all__ = ["DELAY_DEVIATION_S", "DELAY_S", "Injection", "Phase", "measure_injection"]
