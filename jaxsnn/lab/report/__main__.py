"""`python -m jaxsnn.lab.report`: see `jaxsnn.lab.report.report`."""

from jaxsnn.lab.report.report import main

main()
