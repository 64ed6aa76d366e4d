"""`python -m jaxsnn.lab.ablate`: see `jaxsnn.lab.ablate.ablate`."""

from jaxsnn.lab.ablate.ablate import main

main()
