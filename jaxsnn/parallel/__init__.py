"""Several devices: data-parallel training on a named mesh."""

from jaxsnn.parallel.data import AXIS, Gradients, check_batch, data_mesh, data_parallel, replicate

__all__ = ["AXIS", "Gradients", "check_batch", "data_mesh", "data_parallel", "replicate"]
