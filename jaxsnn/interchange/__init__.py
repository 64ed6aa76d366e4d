"""Networks that travel: NIR graphs in and out (extra `nir`), weights as safetensors, weights of PyTorch networks.

A graph is exact, or refused by the name of the layer that it cannot hold.
"""

from jaxsnn.interchange.artifact import save_artifact
from jaxsnn.interchange.exporting import to_nir
from jaxsnn.interchange.files import from_torch, load_weights, read_facts, save_weights
from jaxsnn.interchange.importing import Imported, from_nir

__all__ = [
    "Imported",
    "from_nir",
    "from_torch",
    "load_weights",
    "read_facts",
    "save_artifact",
    "save_weights",
    "to_nir",
]
