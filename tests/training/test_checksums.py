"""A change of any single number of a checkpoint is noticed, whichever array it is in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn.training import CheckpointError, Checkpoints, arrays
from jaxsnn.training import checkpoints as checkpoints_file
from tests.training import problem


def test_the_checksum_covers_every_array(tmp_path, monkeypatch):
    state = problem.start()[0]
    state = state._replace(model_state={"leak": jnp.float32(0.9), "flag": jnp.asarray([True, False])})
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(1, state)
    names = []

    def change(place):
        def read(path, like):
            flat = dict(arrays.read(path, like))
            names[:] = sorted(flat)
            if place is not None:
                numbers = np.array(flat[names[place]])
                last = numbers.reshape(-1)[-1:].view(np.uint8)
                last[0] ^= 1  # the lowest bit of the last number
                flat[names[place]] = jnp.asarray(numbers)
            return flat

        monkeypatch.setattr(checkpoints_file, "read", read)

    change(None)
    checkpoints.load(state)
    assert len(names) == len(jax.tree.leaves(state)) > 7
    for place in range(len(names)):
        change(place)
        with pytest.raises(CheckpointError, match="is damaged"):
            checkpoints.load(state)
