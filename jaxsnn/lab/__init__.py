"""The laboratory: configurations, run folders, training, evaluation, reports, conversion, sweeps, on the command line.

This is an application on top of the library: it alone knows flags and folders, and nothing of the library imports it.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "load_run":  # not at once: commands load what they need
        from jaxsnn.lab.trained import load_run

        return load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
