"""Trains a network on your own data, a .npz file or a folder of pictures: see docs/own_data.md."""

from jaxsnn.lab.own import PRESETS, own
from jaxsnn.lab.run import main

__all__ = ["PRESETS", "own"]

if __name__ == "__main__":
    main(PRESETS)
