"""Predicts the class of pictures or arrays by a trained network of a run folder: see `jaxsnn.lab.predict`."""

from jaxsnn.lab.predict import main

if __name__ == "__main__":
    main()
