"""Checks of the samples that are to be encoded."""

import jax.numpy as jnp

from jaxsnn.checks import check_steps
from jaxsnn.typing import Array


def check_intensities(images: Array, steps: int) -> None:
    check_steps(steps)
    if not jnp.issubdtype(jnp.result_type(images), jnp.floating):
        raise TypeError(
            f"encoding needs floating intensities, got dtype {jnp.result_type(images)}; "
            "for uint8 images: images.astype('float32') / 255"
        )
