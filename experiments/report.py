"""Writes the report of a run as one HTML page: see `jaxsnn.lab.report.report`."""

from jaxsnn.lab.report.report import main

if __name__ == "__main__":
    main()
