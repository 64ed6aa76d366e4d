"""Sweeps of every preset in this folder: see `jaxsnn.lab.sweep.sweep`."""

from experiments import presets
from jaxsnn.lab.sweep.sweep import main

if __name__ == "__main__":
    main(presets())
