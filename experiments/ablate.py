"""Trains the variants that an ablation compares: see `jaxsnn.lab.ablate`."""

from jaxsnn.lab.ablate import main

if __name__ == "__main__":
    main()
