"""Data sets as NumPy arrays: `load("mnist")`. Importing this package loads NumPy and nothing heavier."""

from jaxsnn.data.sources import DATASETS, EVENT_DATASETS, DataNotFoundError, Dataset, load

__all__ = ["DATASETS", "EVENT_DATASETS", "DataNotFoundError", "Dataset", "load"]
