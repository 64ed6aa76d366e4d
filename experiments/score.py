"""Scores a network from another tool on a data set: see `jaxsnn.lab.score`."""

from jaxsnn.lab.score import main

if __name__ == "__main__":
    main()
