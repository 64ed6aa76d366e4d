"""Data-parallel training on eight fake devices: the numbers of one, and no collective but the sum of the gradients."""

import jax
import jax.numpy as jnp
import pytest

from jaxsnn import parallel
from tests.parallel import eight_devices

PROGRAM = """
import dataclasses, functools, json, re, sys
from pathlib import Path
import jax
import jax.numpy as jnp
import optax
from experiments import digits
from jaxsnn.lab import build, run
from jaxsnn.lab.splits import split
from jaxsnn.lab.run_folder import Run
from jaxsnn.lab import devices as devices_
from jaxsnn.losses import LOSSES
from jaxsnn import encoding, parallel, training
from jaxsnn.data import load
from tests.training import problem

folder, mesh, result = Path(sys.argv[1]), parallel.data_mesh(), {"devices": jax.device_count()}


def difference(one, many, start):
    "Largest difference, over the largest change in training, of any parameter."
    each = jax.tree.map(lambda a, b, s: float(jnp.abs(a - b).max() / jnp.abs(a - s).max()), one, many, start)
    return max(jax.tree.leaves(each))


def census(compiled):
    names = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
    return {name: len(re.findall(rf" {name}(?:-start)?[(]", compiled.as_text())) for name in names}


# A smooth model with random input: a sum and a mean for three steps. Nothing but rounding may differ.
prepare = functools.partial(encoding.poisson, steps=3)
images = jax.random.uniform(jax.random.key(1), (64, 4, 4, 1))
data = training.Data(images, (jnp.sum(images, (1, 2, 3)) * 7).astype(jnp.int32) % 3)
optimizer = optax.sgd(0.1)
start = {"w": 0.1 * jax.random.normal(jax.random.key(2), (16, 3))}
for loss in ("squared_error", "per_step_cross_entropy"):
    config = digits.digits().replace(loss=loss, batch_size=16)
    states = []
    for devices in (1, 8):
        config = config.replace(data_parallel=devices)
        gradients = training.backpropagation(problem.apply, LOSSES[loss].function)
        step = training.make_train_step(devices_.spread_gradients(config, gradients), optimizer, prepare, 16)
        state = build.place(config, training.init_state(jax.tree.map(jnp.copy, start), {}, optimizer, 0))
        sets = build.place(config, data)
        order = training.epoch_order(state.seed, 0, 64)
        compiled = jax.jit(step, donate_argnums=0).lower(state, *sets, order).compile()
        for _ in range(3):
            state = compiled(state, *sets, order)
        states.append(jax.device_get(state))
    result[loss] = difference(states[0].params, states[1].params, start)
    result[loss + " totals"] = abs(float(states[0].totals.loss / states[1].totals.loss) - 1)
    result[loss + " correct"] = [int(s.totals.correct) for s in states]
    result[loss + " collectives"] = census(compiled)

# Every device has the keys of its own samples for dropout.
def noise(params, model_state, x, labels, keys, axis_name):
    drawn = jax.nn.one_hot(jax.lax.axis_index(axis_name), 8) * jax.random.uniform(keys[0])
    return (drawn, (jnp.int32(0), {})), params


keys = jax.random.split(jax.random.key(0), 8)
arguments = (jnp.zeros(2), {}, jnp.zeros((1, 8)), jnp.zeros(8, jnp.int32), keys)
result["draws"] = parallel.data_parallel(noise, mesh, mean=False)(*arguments)[0][0].tolist()
result["keys"] = jax.vmap(jax.random.uniform)(keys).tolist()

# The loop on the mesh, several steps per dispatch: an interrupted run goes on where it was.
options = {"step": step, "sets": sets, "steps_per_dispatch": 3, "log_every": 2}
fresh = lambda: parallel.replicate(mesh, training.init_state(start, {}, optimizer, 0))
whole, rows = problem.fit(folder / "whole", state=fresh(), epochs=2, **options)
problem.fit(folder / "cut", state=fresh(), epochs=1, **options)
resumed, again = problem.fit(folder / "cut", state=fresh(), epochs=2, resume=True, **options)
result["resumed"] = rows == again and bool((whole.params["w"] == resumed.params["w"]).all())
result["replicated"] = len(resumed.params["w"].sharding.device_set)

# LeNet as `--data_parallel=8` trains it, with the paper's rule and dropout.
changes = {"time_steps": 4, "epochs": 1, "limit": 48, "limit_test": 20, "validation": 20, "evaluation_batch": 20}
changes |= {"dropout": 0.25, "init_gain": 3.0}
config = digits.digits().replace(**changes, optimizer="sgd", lr=0.01, flip=True, progress=False)
scans = load("digits")


def assembled(config):
    program, sets = build.build(config, scans), split(config, scans)
    state = program.start(0)
    initial, order = jax.device_get(state.params), training.epoch_order(state.seed, 0, 48)
    compiled = jax.jit(program.step, donate_argnums=0).lower(state, *sets.fitting, order).compile()
    return program, sets, initial, lambda state: compiled(state, *sets.fitting, order), compiled


program, _, initial, step, _ = assembled(config)
state = program.start(0)
for _ in range(3):
    state = step(state)
one, state = jax.device_get(state.params), program.start(0)  # untrained: its answers differ
alone = program.evaluate(state, *split(config, scans).test)
config = config.replace(data_parallel=8)
program, sets, _, _, compiled = assembled(config)
run.train(config, program, sets, Run("seed0", 0, None), folder / "seed0")
restored = build.restore(program, 0, folder / "seed0")
many = jax.device_get(restored.params)
together = program.evaluate(build.place(config, state), *sets.test)
result["evaluation"] = [[r.accuracy.tolist(), r.confusion.tolist()] for r in (alone, together)]
count_batch, arguments = jax.jit(program.count_batch), (restored, *sets.test, jnp.int32(0))
result["evaluation collectives"] = census(count_batch.lower(*arguments).compile())
order = training.epoch_order(restored.seed, 0, 48)
for platform in ("tpu", "cuda"):
    step = jax.jit(program.step, donate_argnums=0).trace(restored, *sets.fitting, order)
    for name, traced in (("step", step), ("evaluation", count_batch.trace(*arguments))):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        result[f"{platform} {name}"] = "mhlo.num_partitions = 8" in text and "stablehlo.convolution" in text
text = compiled.as_text()
result["lenet"], result["lenet collectives"] = difference(one, many, initial), census(compiled)
result["whole input"] = "[4,16,16,16,1]" in text
result["part of input"] = "[4,2,16,16,1]" in text
try:
    build.build(config.replace(batch_size=12), scans)
except ValueError as error:
    result["error"] = str(error)
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    for name in ("whole", "cut"):
        (folder / name).mkdir()
    return eight_devices.run(PROGRAM, str(folder))


@pytest.mark.parametrize("loss", ["squared_error", "per_step_cross_entropy"])
def test_same_parameters_as_one_device(result, loss):
    """After three steps on random input: within 1e-5 of the largest change."""
    assert result["devices"] == 8
    assert result[loss] < 1e-5
    assert result[loss + " totals"] < 1e-5
    one, many = result[loss + " correct"]
    assert one == many


def test_lenet_as_one_device(result):
    """Poisson input, shifts and flips; a spike on the edge could turn over, so the tolerance is wider."""
    assert result["lenet"] < 1e-3


@pytest.mark.parametrize("name", ["lenet", "squared_error", "per_step_cross_entropy"])
def test_no_collective_but_the_sum(result, name):
    collectives = result[name + " collectives"]
    assert 1 <= collectives.pop("all-reduce") <= 6  # loss, number correct, four gradients; XLA may join them
    assert set(collectives.values()) == {0}


def test_a_device_draws_its_own_part_of_the_input(result):
    assert result["part of input"]
    assert not result["whole input"]


def test_a_device_has_the_keys_of_its_samples(result):
    assert result["draws"] == result["keys"]


def test_evaluation_as_on_one_device(result):
    """A batch of 20 on eight devices: the same answers at every time step."""
    alone, together = result["evaluation"]
    assert alone == together
    assert len(set(alone[0])) > 1  # answers that differ from step to step, and between samples
    assert sum(any(column) for column in zip(*alone[1], strict=True)) > 2
    collectives = result["evaluation collectives"]
    assert collectives.pop("all-gather") <= 2  # the readouts
    assert set(collectives.values()) == {0}


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_programs_of_eight_devices_lower_for_other_platforms(result, platform):
    assert result[f"{platform} step"]
    assert result[f"{platform} evaluation"]


def test_the_loop_resumes_on_the_mesh(result):
    assert result["resumed"]
    assert result["replicated"] == 8


def test_a_batch_that_cannot_be_divided(result):
    assert "a batch of 12 samples cannot be divided among 8 devices; choose a batch size" in result["error"]


def gradients(params, model_state, x, labels, keys, axis_name=None):
    loss = jnp.sum(x * params) + jnp.sum(jax.vmap(jax.random.uniform)(keys))
    return (loss, (jnp.sum(labels), model_state)), jnp.sum(x)


@pytest.mark.parametrize("mean", [False, True])
def test_one_device_changes_nothing(mean):
    """Not even the random numbers of dropout."""
    mesh = parallel.data_mesh(1)
    arguments = (
        jnp.float32(2),
        {},
        jnp.arange(12.0).reshape(3, 4, 1),
        jnp.arange(4),
        jax.random.split(jax.random.key(5), 4),
    )
    shared = parallel.data_parallel(gradients, mesh, mean=mean)(*arguments)
    assert jax.tree.leaves(shared) == jax.tree.leaves(gradients(*arguments))


def test_evaluation_is_no_training():
    with pytest.raises(ValueError, match="evaluate_parallel is for evaluation; for training use data_parallel"):
        parallel.evaluate_parallel(gradients, parallel.data_mesh(1))({}, {}, jnp.zeros((1, 2, 3)), train=True)


def test_mesh_of_too_many_devices():
    count = jax.device_count()
    message = f"{count + 1} devices were asked for, {count} are there .*: choose devices from 1 to {count}, or 0 for"
    with pytest.raises(ValueError, match=message):
        parallel.data_mesh(count + 1)
