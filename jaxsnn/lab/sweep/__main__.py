"""`python -m jaxsnn.lab.sweep`, with the presets of the digits; all presets: `python -m experiments.sweep`."""

from jaxsnn.lab.digits import PRESETS
from jaxsnn.lab.sweep.sweep import main

main(PRESETS)
