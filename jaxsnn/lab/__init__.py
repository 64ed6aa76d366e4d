"""The laboratory: configurations, run folders, training, evaluation, reports, conversion, sweeps, on the command line.

This is an application on top of the library: it alone knows flags and folders, and nothing of the library imports it.
"""
