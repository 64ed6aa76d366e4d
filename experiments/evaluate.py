"""Evaluates the networks of a run folder: see `jaxsnn.lab.evaluate`."""

from jaxsnn.lab.evaluate import main

if __name__ == "__main__":
    main()
