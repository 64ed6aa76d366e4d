"""Networks that travel: NIR graphs in and out. Needs the extra `nir`.

A graph is exact, or refused by the name of the layer that it cannot hold.
"""

from jaxsnn.interchange.exporting import to_nir
from jaxsnn.interchange.importing import Imported, from_nir

__all__ = ["Imported", "from_nir", "to_nir"]
