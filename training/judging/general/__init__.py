"""Forgetting: what a model still knows and does of what its base did, on questions of no brand.

`measure_general` gives the values of the gate's `general` and `general_loss`; torch is loaded when it is called.
"""

from training.judging.general.cases import Cases, read_cases
from training.judging.general.measure import General, Off, adapter_off, measure_general

__all__ = ["Cases", "General", "Off", "adapter_off", "measure_general", "read_cases"]
