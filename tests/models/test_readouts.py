"""Readouts: what each says after every step, the same for a train in pieces that starts from nothing gathered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn.models import READOUTS

TRAIN = np.random.default_rng(0).integers(-3, 2, (7, 2, 3)).astype(np.float32)
EXP = np.exp(TRAIN)
FIRST = np.cumsum(np.maximum.accumulate(TRAIN > 0, 0), 0)
EXPECTED = {
    "last": TRAIN,
    "mean": np.cumsum(TRAIN, 0),
    "max": np.maximum.accumulate(TRAIN, 0),
    "softmax_sum": np.cumsum(EXP / EXP.sum(-1, keepdims=True), 0),
    "first_spike": FIRST,
}


@pytest.mark.parametrize("name", READOUTS)
@pytest.mark.parametrize("first", [1, 4])
def test_pieces_say_what_the_whole_says(name, first):
    readout, train = READOUTS[name], jnp.asarray(TRAIN)
    gathered, whole = readout(None, train)
    np.testing.assert_allclose(whole, EXPECTED[name], rtol=1e-5)
    nothing = jax.tree.map(jnp.zeros_like, gathered)
    gathered, begin = readout(nothing, train[:first])
    _, end = readout(gathered, train[first:])
    np.testing.assert_allclose(jnp.concatenate([begin, end]), whole, rtol=1e-5)
