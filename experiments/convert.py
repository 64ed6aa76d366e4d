"""Converts the ReLU twin of a run and compares it with the run's own network: see `jaxsnn.lab.convert.convert`."""

from jaxsnn.lab.convert.convert import main

if __name__ == "__main__":
    main()
