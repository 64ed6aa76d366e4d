"""`python -m jaxsnn.lab.convert`: see `jaxsnn.lab.convert.convert`."""

from jaxsnn.lab.convert.convert import main

main()
