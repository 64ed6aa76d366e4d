"""Every member of every table: trains, is lowered for accelerators, in populations, on eight devices, through files."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxsnn import losses, parallel, training
from tests.models import members
from tests.parallel import eight_devices


def loss(output, labels):
    return losses.squared_error(output.logits, labels)


def step_of(apply, params, model_state, batch_size, mesh=None):
    optimizer = optax.sgd(0.1)
    gradients = training.backpropagation(apply, loss)
    if mesh is not None:
        gradients = parallel.data_parallel(gradients, mesh, mean=False)
    step = training.make_train_step(
        gradients, optimizer, lambda keys, x: members.batch(batch_size, x.dtype)[0], batch_size
    )
    return step, training.init_state(params, model_state, optimizer, 0)


@functools.cache
def trained():
    """The step, the state before and after it."""
    step, state = step_of(*members.all_of_them(), 4)
    data = training.Data(jnp.zeros((4, 1)), members.batch(4)[1])
    step = jax.jit(step)
    return step, data, state, step(state, *data, jnp.arange(4))


def paths(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(tree)
    }


@pytest.mark.thorough
def test_every_parameter_of_every_member_learns():
    _, _, before, after = trained()
    assert int(after.totals.bad_step) == -1
    old, new = paths(before.params), paths(after.params)
    still = {name for name in old if not (np.asarray(old[name]) != np.asarray(new[name])).any()}
    assert not still
    moved = {
        name.split("/")[0]
        for name, leaf in paths(after.model_state).items()
        if (leaf != paths(before.model_state)[name]).any()
    }
    assert moved == {f"norm {name}" for name in ("bn", "bn_step", "tdbn", "tebn", "bntt")}


@pytest.mark.thorough
def test_they_are_lowered_for_accelerators():
    step, data, state, _ = trained()
    text = step.trace(state, *data, jnp.arange(4)).lower(lowering_platforms=("cuda", "tpu")).as_text()
    assert "stablehlo" in text


@pytest.mark.thorough
def test_a_population_trains_each_as_alone():
    step, data, state, after = trained()
    other = state._replace(params=jax.tree.map(lambda p: 0.9 * p, state.params))
    two = jax.tree.map(lambda a, b: jnp.stack([a, b]), state, other)
    many = jax.jit(jax.vmap(step, (0, None, None, None)))(two, *data, jnp.arange(4))
    for name, leaf in paths(after.params).items():
        np.testing.assert_allclose(paths(many.params)[name][0], leaf, rtol=2e-4, atol=2e-5, err_msg=name)
        assert not (leaf.any() and np.array_equal(paths(many.params)[name][1], leaf)), name


def test_through_a_checkpoint_bit_for_bit(tmp_path):
    _, _, before, after = trained()
    checkpoints = training.Checkpoints(tmp_path)
    checkpoints.save(1, after, {})
    jax.tree.map(np.testing.assert_array_equal, training.Checkpoints(tmp_path, reading=True).load(before), after)


PROGRAM = """
import json
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
from jaxsnn import parallel, training
from tests.models import members, test_members

mesh = parallel.data_mesh()
model = members.all_of_them(jnp.float64)
data = training.Data(jnp.zeros((8, 1), jnp.float64), members.batch(8)[1])
after = []
for on in (None, mesh):
    step, state = test_members.step_of(*model, 8, on)
    after.append(jax.device_get(jax.jit(step)(state, *data, jnp.arange(8))))
one, many = ({**test_members.paths(s.params), **test_members.paths(s.model_state)} for s in after)
print(json.dumps({"devices": len(jax.devices()), **{name: float(abs(one[name] - many[name]).max()) for name in one}}))
"""


@pytest.mark.thorough
def test_eight_devices_give_one_devices_numbers():
    """Parameters and statistics after a step, in float64."""
    found = eight_devices.run(PROGRAM)
    assert found.pop("devices") == 8
    assert {name: error for name, error in found.items() if not error < 1e-10} == {}
