"""Norms by their flags: they learn T and groups of the configuration, and a chunk that they cannot have is refused."""

import jax
import jax.numpy as jnp
import pytest

from jaxsnn.lab import build, splits
from jaxsnn.lab.config import Config


def program(norm, **options):
    config = Config.of(
        dataset="digits", validation=100, width=0.1, norm=norm, gradient="bptt", time_steps=12, **options
    )
    data = splits.load_data(config)
    return build.build(config, data), data


@pytest.mark.parametrize("norm", ["bn", "tebn"])
def test_a_norm_over_the_train_runs_it_whole_and_refuses_chunks(norm):
    made, data = program(norm)
    state = made.start(0)
    if norm == "tebn":
        assert state.params["conv1"]["norm"]["step_scale"].shape == (12,)
    jax.eval_shape(made.step, state, *data.train, jnp.arange(64))  # default_chunk is 4
    message = "the norm of conv1, conv2, fc1 takes .* whole train of 12 steps, got chunks of 3: leave time_chunk at 0"
    with pytest.raises(ValueError, match=message):
        program(norm, time_chunk=3)


def test_groups_and_standardised_weights_by_their_flags():
    made, _ = program("gn", norm_groups=1, standardise=True)
    assert made.start(0).params["conv1"].keys() >= {"kernel", "gain", "norm"}
    with pytest.raises(ValueError, match="2 features cannot be divided into 8 groups: give other norm_groups"):
        program("gn")
