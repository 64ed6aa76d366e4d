"""Long runs in chunks: against one pass, padded batches, memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import analysis, batches, encoding, models, streaming
from jaxsnn.keys import fold_in
from tests.conversion import networks


def poisson(key, images, start, steps):
    return encoding.poisson(key, images, steps, start=start)


@pytest.fixture(scope="module")
def model():
    return networks.plain(networks.INTEGRATE_AND_FIRE, pool="spiking", init_gain=2.0)


def test_the_same_as_one_pass(model):
    """Accuracy and spikes of every step, over batches of which the last is not full, T not a multiple of the piece."""
    x, labels, key = networks.images(5), jnp.asarray([0, 1, 2, 1, 0]), jax.random.key(2)
    ticks, connections = [], models.connections(networks.plain_network(networks.INTEGRATE_AND_FIRE, pool="spiking"))
    found = streaming.stream(
        *model,
        poisson,
        x,
        labels,
        key=key,
        steps=7,
        chunk=3,
        batch_size=2,
        connections=connections,
        progress=ticks.append,
    )
    run = jax.jit(partial(model[0], record=True))
    hits, spikes, operations = np.zeros(7), {}, {}
    for begin in (0, 2, 4):
        index = np.minimum(begin + np.arange(2), 4)
        train = poisson(fold_in(key, index), x[index], 0, 7)
        output = run(*model[1:], train)[0]
        count = min(2, 5 - begin)
        answers = np.asarray(output.potentials).argmax(-1)[:, :count]
        hits += (answers == np.asarray(labels)[None, begin : begin + count]).sum(1)
        for name, fired in output.spikes.items():
            per_step = (np.asarray(fired)[:, :count] != 0).reshape(7, -1).sum(1)
            spikes[name] = spikes.get(name, 0) + np.cumsum(per_step)
        for c in connections:
            fired = np.asarray(output.spikes[c.source])[:, :count] != 0
            per_step = (fired * analysis.fan_out(c)).reshape(7, -1).sum(1)
            operations[c.name] = operations.get(c.name, 0) + np.cumsum(per_step)
    np.testing.assert_allclose(found.accuracy, hits / 5)
    assert len(set(hits)) > 1
    assert list(found.spikes) == ["input", "conv1", "pool1", "fc1"]
    for name, expected in spikes.items():
        np.testing.assert_allclose(found.spikes[name], expected / 5, err_msg=name)
    for name, expected in operations.items():
        np.testing.assert_array_equal(found.operations[name], expected / 5, err_msg=name)
    assert not any(found.analog.values())
    assert sum(ticks) == 5 * 7
    assert found.spikes["fc1"][-1] > 0


def test_memory_does_not_grow_with_time(model):
    """Neither what lives between the pieces, nor, of the whole run as one program, what XLA reserves."""
    apply, params, state = model
    x, labels, key, chunk = networks.images(4), jnp.asarray([0, 1, 2, 1]), jax.random.key(0), 5
    alive = []
    streaming.stream(
        *model, poisson, x, labels, key=key, steps=100, chunk=chunk, batch_size=4,
        progress=lambda _: alive.append(sum(array.nbytes for array in jax.live_arrays())),
    )  # fmt: skip
    assert len(alive) == 20
    assert len(set(alive)) == 1
    run_chunk = streaming.make_chunk(apply, poisson, chunk)
    shape = batches.outline(apply, params, state, poisson(key, x, 0, 1))
    rest = shape.at_rest()

    def whole(pieces):
        def run(params, state):
            def body(carry, number):
                return run_chunk(params, state, carry, key, x, labels, labels >= 0, number * chunk)

            return jax.lax.scan(body, rest, jnp.arange(pieces))

        return jax.jit(run).lower(params, state).compile().memory_analysis()

    short, long = whole(20), whole(500)
    results = (500 - 20) * (chunk * 4 * 5 + 4)  # per step hits and four layers' counts, int32; per piece four bools
    assert 0 <= long.output_size_in_bytes - short.output_size_in_bytes <= results
    assert long.temp_size_in_bytes - short.temp_size_in_bytes <= 2 * results
    train = jax.eval_shape(partial(poisson, start=0, steps=2500), key, x)
    assert long.temp_size_in_bytes < train.size * 4


def test_bad_calls(model):
    x, labels = networks.images(2), jnp.asarray([0, 1])
    options = {"key": jax.random.key(0), "chunk": 2, "batch_size": 2}
    with pytest.raises(ValueError, match="cannot run a network on an empty set"):
        streaming.stream(*model, poisson, x[:0], labels[:0], steps=2, **options)
    with pytest.raises(ValueError, match="number of time steps T must be an integer >= 1, got 0"):
        streaming.stream(*model, poisson, x, labels, steps=0, **options)
    for name in ("chunk", "batch_size"):
        with pytest.raises(ValueError, match=f"{name} must be an integer >= 1, got 0"):
            streaming.stream(*model, poisson, x, labels, steps=2, **(options | {name: 0}))
    with pytest.raises(ValueError, match="expected one label for each sample, got 2 samples and 1 labels"):
        streaming.stream(*model, poisson, x, labels[:1], steps=2, **options)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), .*, got 1 to 3; .* class numbers start at 0"):
        streaming.stream(*model, poisson, x, jnp.asarray([1, 3]), steps=2, **options)

    def other(params, state, x, **_):
        return x, state

    with pytest.raises(TypeError, match="the model is a function that names no layer which sends spikes"):
        batches.outline(other, {}, {}, x)
    assert models.Output._fields[0] == "logits"


@pytest.mark.parametrize(("first", "images", "message"), [(1, 5, "labels must lie in"), (0, 4, "4 samples and 5 la")])
def test_labels_that_are_no_classes(model, first, images, message):
    labels = first + jnp.arange(5) % 3
    options = {"key": jax.random.key(0), "steps": 1, "chunk": 1, "batch_size": 5}
    with pytest.raises(ValueError, match=message):
        streaming.stream(*model, poisson, networks.images(images), labels, **options)
