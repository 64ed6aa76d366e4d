"""Fits a linear classifier to the images of a run: see `jaxsnn.lab.linear`."""

from jaxsnn.lab.linear import main

if __name__ == "__main__":
    main()
