"""A data set divided among eight fake devices: every batch is what the whole set would have given."""

import jax
import numpy as np
import pytest

from jaxsnn import parallel
from tests.parallel import eight_devices

PROGRAM = """
import functools, json, re
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxsnn import parallel, training
from tests.training import problem

mesh, result = parallel.data_mesh(), {}
take = parallel.fetch_rows(mesh)
chosen = np.random.default_rng(0).permutation(50)[:21]
for name, images in {
    "uint8": np.random.default_rng(1).integers(0, 256, (50, 3, 4, 1), np.uint8),
    "frames": np.random.default_rng(2).normal(size=(50, 2, 3, 4, 1)).astype(np.float32),
}.items():
    divided = parallel.divide(mesh, images, chosen)
    held = [shard.data.shape[0] for shard in divided.addressable_shards]
    result[name] = [divided.shape[0], held]
    for numbers in (np.array([20, 0, 20, 7, 3, 9, 1, 2]), np.array([11, 4, 0, 20, 5])):
        compiled = jax.jit(take).lower(divided, jnp.asarray(numbers)).compile()
        batch = compiled(divided, jnp.asarray(numbers))
        same = batch.dtype == images.dtype and bool((np.asarray(batch) == images[chosen][numbers]).all())
        part = batch.addressable_shards[0].data.shape[0]
        collectives = re.findall(
            " (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?[(]", compiled.as_text()
        )
        result[f"{name} {len(numbers)}"] = [same, part, collectives]

# Training and evaluation on divided samples: the numbers of the whole set.
optimizer, sets = problem.functions(0.02)[0], problem.data(37)
labels = parallel.replicate(mesh, sets.labels)
divided = parallel.divide(mesh, np.asarray(sets.images), np.arange(37))
states = []
for images, take in ((parallel.replicate(mesh, sets.images), None), (divided, parallel.fetch_rows(mesh))):
    how = {} if take is None else {"fetch": take}
    gradients = parallel.data_parallel(training.backpropagation(problem.apply, problem.loss), mesh, mean=False)
    step = jax.jit(training.make_train_step(gradients, optimizer, problem.prepare, 16, **how))
    evaluate = training.make_evaluate(
        parallel.evaluate_parallel(problem.apply, mesh), problem.prepare, 15, **how
    )
    state = parallel.replicate(mesh, problem.start()[0])
    for _ in range(2):
        state = step(state, images, labels, training.epoch_order(state.seed, 0, 37))
    scores = evaluate(state, images, labels)
    states.append([state.params["w"].tolist(), float(state.totals.loss), scores.confusion.tolist()])
    result["samples"] = int(scores.confusion.sum())
result["same"] = states[0] == states[1]
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def result():
    return eight_devices.run(PROGRAM)


@pytest.mark.parametrize("images", ["uint8", "frames"])
def test_every_device_holds_its_part(result, images):
    """21 samples and three of zeros."""
    assert result[images] == [24, [3] * 8]


@pytest.mark.parametrize("images", ["uint8", "frames"])
def test_a_batch_is_that_of_the_whole_set(result, images):
    """In the order asked for, repeated where asked for twice, by one exchange; whole if it cannot be divided."""
    assert result[f"{images} 8"] == [True, 1, ["reduce-scatter"]]
    assert result[f"{images} 5"] == [True, 5, ["all-reduce"]]


def test_training_and_evaluation_are_those_of_the_whole_set(result):
    assert result["same"]
    assert result["samples"] == 37


def test_one_device():
    mesh = parallel.data_mesh(1)
    images = np.arange(12, dtype=np.uint8).reshape(6, 2)
    divided = parallel.divide(mesh, images, np.array([5, 0, 3]))
    np.testing.assert_array_equal(divided, images[[5, 0, 3]])
    np.testing.assert_array_equal(parallel.fetch_rows(mesh)(divided, jax.numpy.array([2, 0])), images[[3, 5]])
