"""Spiking LeNet on the 1,797 digits embedded in scikit-learn: the demonstration; see `jaxsnn.lab.digits`."""

from jaxsnn.lab.digits import PRESETS, digits, main

__all__ = ["PRESETS", "digits"]

if __name__ == "__main__":
    main(PRESETS)
