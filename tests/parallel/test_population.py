"""Populations: each member trains as it would alone, on one device and on eight, where nothing is exchanged."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsnn import parallel, training
from tests.parallel import eight_devices
from tests.training import problem

BATCH, EPOCHS = 16, 2
MEMBERS = parallel.grid(lr=[0.01, 0.03], seed=[3, 4])

PROGRAM = """
import dataclasses, json, re
import jax
import numpy as np
from experiments import digits
from jaxsnn.lab.sweep import populations
from jaxsnn import parallel, training
from jaxsnn.data import load

changes = {"time_steps": 4, "limit": 32, "validation": 20, "limit_test": 20, "evaluation_batch": 20, "batch_size": 16}
config = digits.digits().replace(**changes, width=0.1, init_gain=3.0, epochs=1)
data, mesh = load("digits"), parallel.population_mesh()
configs = [config.replace(seed=n, lr=0.001 * (n + 1), leak=0.9 + 0.01 * n) for n in range(8)]
sets = parallel.replicate(mesh, populations.split(config, data))
step, accuracy = populations.functions(config, data, mesh)
population = populations.create(configs, data, mesh)
orders = jax.device_put(np.tile(np.arange(32), (8, 1)), population.states.seed.sharding)
compiled = jax.jit(step, donate_argnums=0).lower(population, *sets.fitting, orders).compile()
text = compiled.as_text()
trained = compiled(population, *sets.fitting, orders)
kernel = trained.states.params["fc2"]["kernel"]
shape = accuracy(trained, *sets.test).shape
step, _ = populations.functions(config, data)
population = populations.create(configs[2:4], data)
sets = populations.split(config, data)
alone = jax.jit(step)(population, *sets.fitting, orders[2:4])
print(json.dumps({
    "collectives": re.findall(r" (all-[a-z-]+|collective-permute|reduce-scatter|partition-id)[^a-z ]*[(]", text),
    "held": [len(shard.data) for shard in kernel.addressable_shards],
    "difference": float(abs(kernel[2:4] - alone.states.params["fc2"]["kernel"]).max()),
    "change": float(abs(kernel[2:4] - population.states.params["fc2"]["kernel"]).max()),
    "accuracy": shape,
}))
"""


def start(member, dtype=jnp.float32):
    return training.init_state(
        {"w": jnp.zeros((3, 3), dtype)}, {}, optax.sgd(member["lr"], momentum=0.9), member["seed"]
    )


def make(numbers, dtype=jnp.float32):
    prepare = functools.partial(noisy, dtype=dtype)

    def loss(output, labels):
        return jnp.sum(jnp.square(output.logits - jax.nn.one_hot(labels, 3, dtype=dtype)))

    optimizer = optax.sgd(numbers["lr"], momentum=0.9)
    step = training.make_train_step(training.backpropagation(problem.apply, loss), optimizer, prepare, BATCH)
    return parallel.Member(step, training.make_count_batch(problem.apply, prepare, 32))


def noisy(keys, images, dtype):
    noise = jax.vmap(lambda key: jax.random.normal(key, (3, *images.shape[1:]), dtype), out_axes=1)(keys)
    return images.astype(dtype)[None] + 0.1 * noise


def alone(member, data, dtype=jnp.float32):
    """One network, by the step itself."""
    step, state = jax.jit(make(member, dtype).step), start(member, dtype)
    for epoch in range(EPOCHS):
        order = training.epoch_order(state.seed, epoch, len(data.labels))
        for _ in range(len(data.labels) // BATCH):
            state = step(state, *data, order)
    return state


def train(members, data, dtype=jnp.float32, **options):
    return parallel.train_population(
        members,
        functools.partial(start, dtype=dtype),
        functools.partial(make, dtype=dtype),
        data,
        {"test": data},
        batch_size=BATCH,
        epochs=EPOCHS,
        evaluation_batch=32,
        **options,
    )


@pytest.fixture(scope="module")
def singles():
    """Four networks in float64, one by one: parameters and accuracy of each."""
    found = []
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        data = problem.data()
        evaluate = training.make_evaluate(problem.apply, functools.partial(noisy, dtype=jnp.float64), 32)
        for member in MEMBERS:
            state = alone(member, data, jnp.float64)
            found.append((np.asarray(state.params["w"]), evaluate(state, *data).accuracy[-1]))
    return found


@pytest.mark.parametrize("vmap_size", [0, 1, 2])
def test_members_train_as_alone(x64, singles, vmap_size):
    """In float64: parameters to the last bits, accuracy exactly."""
    with jax.numpy_dtype_promotion("standard"):
        trained = train(MEMBERS, problem.data(), jnp.float64, vmap_size=vmap_size)
    params = trained.population.states.params["w"]
    assert params.dtype == jnp.float64
    for number, (single, accuracy) in enumerate(singles):
        np.testing.assert_allclose(params[number], single, rtol=1e-12, atol=1e-14)
        assert trained.accuracy["test"][-1, number] == accuracy
    assert trained.loss.shape == (EPOCHS, 4)
    assert trained.evaluated.tolist() == [1, 2]
    assert (trained.population.states.step == 8).all()
    assert len({tuple(np.ravel(w)) for w in params}) == 4


def test_a_diverged_member_is_frozen_and_the_others_go_on():
    data = problem.data()
    members = [{"lr": lr, "seed": 1} for lr in (0.01, 1e30, 0.02)]
    both, good = train(members, data), train(members[::2], data)
    step = both.diverged[1]
    assert both.diverged.tolist() == [-1, step, -1]
    assert 0 < step < 4
    np.testing.assert_array_equal(both.population.states.params["w"][::2], good.population.states.params["w"])
    np.testing.assert_array_equal(both.accuracy["test"][:, ::2], good.accuracy["test"])
    assert np.isnan(both.accuracy["test"][:, 1]).all()
    assert np.isnan(both.loss[:, 1]).all()
    states = both.population.states
    assert states.step[1] == step  # in the state from before that step
    assert states.step[0] == 8


def test_evaluated_epochs():
    trained = train([{"lr": 0.01, "seed": 0}], problem.data(), evaluate_every=3)
    assert trained.evaluated.tolist() == [EPOCHS]
    assert trained.costs.temporary_mb is not None


@pytest.fixture(scope="module")
def result():
    return eight_devices.run(PROGRAM)


@pytest.mark.thorough
def test_no_collective_at_all_on_eight_devices(result):
    assert result["collectives"] == []
    assert result["held"] == [1] * 8
    assert result["accuracy"] == [8, 4]


@pytest.mark.thorough
def test_eight_devices_train_as_one(result):
    assert result["change"] > 0
    assert result["difference"] < 1e-3 * result["change"]


def test_over_members_is_the_function_of_each():
    members = {"a": jnp.arange(5.0), "b": jnp.ones((5, 2))}
    whole = parallel.over_members(lambda m, x: m["a"] * x + m["b"].sum(), vmap_size=3)(members, jnp.float32(2))
    np.testing.assert_array_equal(whole, 2 * np.arange(5) + 2)


def test_default_at_once():
    assert parallel.default_vmap_size("cpu") == 1
    assert parallel.default_vmap_size("tpu") == parallel.default_vmap_size("gpu") == 0


def test_bad_populations():
    with pytest.raises(ValueError, match="at least one member, got none"):
        parallel.create_population([], [])
    small, large = start({"lr": 0.1, "seed": 0}), training.init_state({"w": jnp.zeros((4, 3))}, {}, optax.sgd(0.1), 0)
    with pytest.raises(ValueError, match=r"member 1 \(8\) has another network than member 0 \(7\)"):
        parallel.create_population([7, 8], [small, large])
    with pytest.raises(ValueError, match="vmap_size must be a number of members, 0 for all, got -1"):
        parallel.over_members(lambda m: m, vmap_size=-1)
    evaluate = parallel.make_population_evaluate(make, 32)
    population = parallel.create_population([{"lr": 0.1, "seed": 0}], [small])
    data = problem.data()
    with pytest.raises(ValueError, match="cannot evaluate on an empty set"):
        evaluate(population, data.images[:0], data.labels[:0])
    with pytest.raises(ValueError, match="10 training samples are fewer than one batch of 16"):
        train([{"lr": 0.1, "seed": 0}], problem.data(10))
    count = jax.device_count()
    with pytest.raises(ValueError, match=f"{count + 1} devices were asked for, {count} are there"):
        parallel.population_mesh(count + 1)


def costs(megabytes):
    return training.Costs(0.0, 0.0, megabytes, 0.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 8), st.floats(0, 50), st.floats(0.1, 9), st.floats(60, 3000))
def test_programs_fit_and_are_about_equal(most, devices, base, each, limit):
    measured = []

    def measure(count):
        measured.append(count)
        return costs(base + each * count / devices)

    size = parallel.members_that_fit(measure, most, limit, devices=devices)
    assert size % devices == 0
    assert base + each * size / devices <= limit
    programs = -(-most // size)
    assert size * programs - most < devices * programs  # hardly any member is there to fill
    if base + each * measured[0] / devices <= limit:
        assert len(measured) == 1
        assert programs == 1


def test_one_member_too_large():
    with pytest.raises(ValueError, match="one member needs 70 MB and there are 60 MB per device: use a smaller batch"):
        parallel.members_that_fit(lambda count: costs(70.0 * count), 5, 60.0)
    assert parallel.memory_limit(2) == pytest.approx(parallel.memory_limit() / 2)


def test_memory_that_the_system_does_not_tell(monkeypatch):
    """No `os.sysconf`, or one that does not know the names: no limit, and all members fit."""

    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr("os.sysconf", unknown)
    assert parallel.memory_limit() == math.inf
    monkeypatch.setattr("os.sysconf", lambda name: -1)
    assert parallel.memory_limit() == math.inf
    monkeypatch.delattr("os.sysconf")
    assert parallel.memory_limit(4) == math.inf
    assert parallel.members_that_fit(lambda count: costs(70.0 * count), 5, parallel.memory_limit()) == 5


def test_labels_batch_size_and_the_callers_population():
    """As `training.fit` checks them, and leaves its state."""
    data = problem.data()
    with jax.numpy_dtype_promotion("standard"):
        for labels, message in (
            (data.labels + 1, "labels must lie in"),
            (data.labels[:60], "70 samples and 60 labels"),
        ):
            with pytest.raises(ValueError, match=message):
                train(MEMBERS, data._replace(labels=labels))
        population = parallel.create_population(MEMBERS, [start(member) for member in MEMBERS])
        step = parallel.make_population_step(make)
        options = {"epochs": 1, "evaluate": lambda population: {}}
        with pytest.raises(ValueError, match="batch_size=8, but the step trains on batches of 16"):
            parallel.fit_population(population, step, data, batch_size=8, **options)
        first, second = (parallel.fit_population(population, step, data, batch_size=16, **options) for _ in range(2))
    np.testing.assert_array_equal(first.loss, second.loss)
