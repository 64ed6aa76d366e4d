"""Trains the variants that an ablation compares: see `jaxsnn.lab.ablate.ablate`."""

from jaxsnn.lab.ablate.ablate import main

if __name__ == "__main__":
    main()
