"""Writes a trained network for other tools: see `jaxsnn.lab.export`."""

from jaxsnn.lab.export import main

if __name__ == "__main__":
    main()
