"""Losses, augmentation and training by their flags: alone and all together, from training to the evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import digits
from jaxsnn import models, training
from jaxsnn.data import DATASETS, Dataset, Source, Split, load
from jaxsnn.lab import build, evaluate, inputs, run, splits
from jaxsnn.lab.config import Config
from jaxsnn.lab.sweep import plan, populations
from jaxsnn.losses import LOSSES
from jaxsnn.models import MODELS


def dense_network(*, rngs, **options):
    net = models.Builder(init_scale=6.0, rngs=rngs, **options)
    net.dense(16)
    return net.finish()


@pytest.fixture(autouse=True)
def dense(monkeypatch):
    monkeypatch.setitem(MODELS, "dense", dense_network)


def small(**fields):
    defaults = {
        **{"model": "dense", "epochs": 2, "time_steps": 3, "limit": 128, "limit_test": 40, "validation": 40},
        **{"seeds": 1, "progress": False, "activity": False, "figures": False, "shift": 0},
    }
    return digits.digits().replace(**defaults | fields)


EVERYTHING = {
    **{"shift": 1, "shift_fill": "reflect", "flip": True, "flip_alternating": True, "cutout": 2, "random_erasing": 0.5},
    **{"rotate": 10.0, "zoom": 0.1},
    **{"mixup": 0.4, "loss": "tet", "tet_lambda": 0.1, "tet_target": 0.5, "label_smoothing": 0.1},
    **{"rate_weight": 0.5, "rate_lower": 0.05, "rate_upper": 0.2, "optimizer": "sgd", "clip": 1.0},
    **{
        "momentum": 0.9,
        "nesterov": True,
        "ema": 0.9,
        "schedule": "linear",
        "warmup_epochs": 0.5,
        "time_chunk": 1,
        "truncate": True,
        "lr": 0.1,
    },
}


@pytest.mark.thorough
def test_everything_together(tmp_path):
    """The running means are kept, evaluated and found again."""
    config = small(**EVERYTHING, run_dir=str(tmp_path / "run"))
    summary = run.run(config, "digits")
    program = build.build(config, splits.load_data(config))
    state = build.restore(program, 0, tmp_path / "run" / "seed0")
    assert (state.average[0]["fc1"]["kernel"] != state.params["fc1"]["kernel"]).any()
    found = evaluate.evaluate(tmp_path / "run", which="last", part="test")["networks"][0]["accuracy"]
    assert found == summary["runs"][0]["test_accuracy"]
    sets = splits.split(config, splits.load_data(config))
    assert found == float(program.evaluate(state, *sets.test).accuracy[-1])


def traced(config, data=None):
    """The train step's output, traced and not run."""
    data = data or load("digits")
    program, sets = build.build(config, data), splits.split(config, data)
    order = training.epoch_order(0, 0, len(sets.fitting.labels))
    return jax.eval_shape(program.step, program.start(0), *sets.fitting, order)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_everything_lowers_for_accelerators(platform):
    config, data = small(**EVERYTHING), load("digits")
    program, sets = build.build(config, data), splits.split(config, data)
    order = training.epoch_order(0, 0, len(sets.fitting.labels))
    step = jax.jit(program.step, donate_argnums=0).trace(program.start(0), *sets.fitting, order)
    assert "stablehlo" in step.lower(lowering_platforms=(platform,)).as_text()


def test_everything_is_resumed_bit_for_bit(tmp_path, monkeypatch):
    """A run that stops in the second epoch goes on with the same running means, flips and learning rates."""
    config = small(**EVERYTHING, checkpoint_every=5)
    whole = run.run(config.replace(run_dir=str(tmp_path / "whole")), "digits")
    save, broken = training.Checkpoints.save, config.replace(run_dir=str(tmp_path / "broken"))

    def stop(self, step, *rest):
        save(self, step, *rest)
        if step == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(training.Checkpoints, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        run.run(broken, "digits")
    monkeypatch.undo()
    monkeypatch.setitem(MODELS, "dense", dense_network)
    resumed = run.run(broken.replace(resume=True), "digits")
    assert resumed["test_accuracy"] == whole["test_accuracy"]
    program = build.build(config, splits.load_data(config))
    states = [build.restore(program, 0, tmp_path / name / "seed0") for name in ("whole", "broken")]
    for a, b in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.thorough
def test_numbers_of_the_loss_are_axes_of_one_program():
    """Members of a sweep have the parameters of single runs, each with numbers of its own."""
    changes = {"label_smoothing": 0.3, "tet_lambda": 0.5, "tet_target": 2.0, "rate_weight": 5.0, "rate_upper": 0.1}
    configs = [small(**EVERYTHING), small(**EVERYTHING | changes)]
    assert len(plan.programs(configs)) == 1
    data = load("digits")
    sets = splits.split(configs[0], data)
    population = populations.create(configs, data)
    step = jax.jit(populations.functions(configs[0], data)[0])
    orders = jnp.stack([training.epoch_order(0, 0, len(sets.fitting.labels))] * 2)
    after = step(population, *sets.fitting, orders).states
    for number, config in enumerate(configs):
        program = build.build(config, data)
        alone = jax.jit(program.step)(program.start(0), *sets.fitting, orders[0])
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(after), strict=True):
            np.testing.assert_allclose(a, b[number], rtol=2e-5, atol=1e-6)
    assert (after.average[0]["fc1"]["kernel"][0] != after.average[0]["fc1"]["kernel"][1]).any()


@pytest.mark.parametrize(
    ("fields", "training", "evaluation"),
    [
        ({"gradient": "bptt"}, 40, 5),
        ({"gradient": "bptt", "remat": True}, 5, 5),
        ({"gradient": "bptt", "time_chunk": 10}, 10, 10),
        ({"gradient": "spikebp"}, 5, 5),
    ],
)
def test_chunks_of_training_and_evaluation(fields, training, evaluation, monkeypatch):
    """By default, a training under a surrogate gradient runs all steps at once, and its evaluation in chunks."""
    seen, in_chunks = [], models.in_chunks
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    monkeypatch.setattr(
        models, "in_chunks", lambda apply, chunk, **options: seen.append(chunk) or in_chunks(apply, chunk, **options)
    )
    build.build(small(**fields, time_steps=40), load("digits"))
    assert seen == [training, evaluation]


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_a_flag_with_the_options_of_all(loss):
    votes = 2 if LOSSES[loss].fires else 0
    state = traced(small(loss=loss, votes=votes, label_smoothing=0.1, mixup=0.2, rate_weight=0.1, rate_upper=0.5))
    assert state.totals.loss.dtype == jnp.float32
    assert state.average is None


def test_options_change_the_loss_and_nothing_else():
    """The value of a loss by hand, on the outputs of one network."""
    data, config = load("digits"), small(loss="tet", tet_lambda=0.2, label_smoothing=0.1)
    potentials = jax.random.normal(jax.random.key(0), (3, 4, 10))
    counts = {"fc1": jnp.full((4, 16), 3.0)}
    output = models.Output(potentials[-1], potentials, potentials, {}, {}, None, counts)
    labels = jnp.asarray([1, 2, 3, 4])
    plain = LOSSES["tet"].function(output, 0.9 * jax.nn.one_hot(labels, 10) + 0.01, tet_lambda=0.2)
    assert float(build.make_loss(config, 10)(output, labels)) == pytest.approx(float(plain), rel=1e-6)
    more = config.replace(rate_weight=2.0, rate_upper=0.75)
    assert float(build.make_loss(more, 10)(output, labels)) == pytest.approx(float(plain) + 2 * 0.25**2, rel=1e-6)
    total = build.make_loss(small(loss="squared_error", rate_weight=2.0, rate_upper=0.75), data.num_classes)
    rest = LOSSES["squared_error"].function(output, labels)
    assert float(total(output, labels) - rest) == pytest.approx(4 * 2 * 0.25**2, rel=1e-4)  # a sum over the batch


def test_cut_out_pixels_are_the_mean():
    """Zero after the normalisation, for bytes and for floats."""
    config = small(cutout=8, mean=(0.2,), std=(0.5,))
    change = inputs.make_augment(config, 10)
    keys = jax.random.split(jax.random.key(0), 3)
    for samples, tolerance in ((jnp.full((3, 8, 8, 1), 255, jnp.uint8), 0.01), (jnp.ones((3, 8, 8, 1)), 1e-6)):
        visit = training.Visit(samples, jnp.zeros(3, jnp.int32), keys, keys, jnp.int32(0))
        x = inputs.normalise(change(visit)[0], config.data.mean, config.data.std)
        assert abs(float(x.min())) < tolerance
    assert inputs.make_augment(small(), 10) is None


def test_two_epochs_show_every_image_in_both_directions():
    """Whatever the keys of the visits, which belong to a step."""
    change = inputs.make_augment(small(flip=True, flip_alternating=True), 10)
    images = jnp.arange(16, dtype=jnp.uint8).reshape(1, 1, 16, 1).repeat(20, 0)
    lasting = jax.random.split(jax.random.key(0), 20)
    shown = []
    for epoch in (0, 1):
        keys = jax.random.split(jax.random.key(1 + epoch), 20)
        visit = training.Visit(images, jnp.zeros(20, jnp.int32), keys, lasting, jnp.int32(epoch))
        shown.append(change(visit)[0][:, 0, 0, 0])
    assert (shown[0] + shown[1] == 15).all()
    assert 0 < int((shown[0] == 0).sum()) < 20


def events(data_dir, cache_dir, *, binning):
    frames = np.zeros((60, binning.steps, 4, 4, 2), np.uint8)
    frames[:, 2] = 3
    split = Split(frames, np.arange(60, dtype=np.int32) % 3)
    return Dataset("frames", split, split, 3)


def test_events_are_changed_as_numbers_of_events(monkeypatch):
    monkeypatch.setitem(DATASETS, "frames", Source(events, "frames", events=True))
    fields = {"drop_events": 0.2, "time_jitter": 1, "mixup": 0.3, "event_values": "counts", "loss": "rate_mse"}
    config = small(dataset="frames", encoding="events", validation=10, limit=0, time_steps=5, **fields)
    data = splits.load_data(config)
    traced(config, data)
    keys = jax.random.split(jax.random.key(0), 60)
    visit = training.Visit(*map(jnp.asarray, data.train), keys, keys, jnp.int32(0))
    samples, labels = inputs.make_augment(config, 3)(visit)
    assert labels.shape == (60, 3)
    assert samples.dtype == jnp.float32
    assert float(samples.sum() / data.train.samples.sum()) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("encoding", ["phase", "population"])
def test_encodings_of_images(encoding, tmp_path):
    """With figures, since a population code has other channels than an image."""
    options = {"receptive_fields": 5} if encoding == "population" else {}
    config = small(encoding=encoding, run_dir=str(tmp_path / "run"), figures=True, epochs=1, **options)
    assert inputs.input_shape(config, load("digits")) == (16, 16, 5 if options else 1)
    assert run.run(config, "digits")["test_accuracy"]["mean"] >= 0


def test_changes_of_recordings_by_their_flag(monkeypatch):
    monkeypatch.setitem(DATASETS, "frames", Source(events, "frames", events=True))
    config = small(dataset="frames", encoding="delta", delta_threshold=2.0, validation=10, limit=0, time_steps=5)
    frames = jnp.asarray(splits.load_data(config).train.samples[:1])
    x = inputs.make_prepare(config)(jax.random.key(0), frames)
    assert x[:, 0, 0, 0, 0].tolist() == [0, 0, 1, -1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flip_alternating": True}, "flip_alternating says in which epochs images are flipped: give flip with it"),
        ({"drop_events": 0.1}, "drop_events and time_jitter are for event data, got them with dataset=mnist"),
        ({"nesterov": True}, "nesterov is a form of the momentum of sgd: .* got optimizer=sgd, momentum=0.0"),
        ({"nesterov": True, "momentum": 0.9, "optimizer": "adam"}, "nesterov is a form of the momentum of sgd"),
        ({"warmup_epochs": 3.0, "epochs": 3}, "warmup_epochs must be fewer than epochs, got 3.0 of 3"),
        ({"rate_weight": 1.0, "rate_lower": 0.5, "rate_upper": 0.2}, "rate_lower=0.5 must not be above rate_upper"),
        ({"rate_upper": 0.2}, "rate_lower and rate_upper are bounds of the penalty: give rate_weight above 0"),
        ({"tet_lambda": 0.2}, "tet_lambda belongs to loss=tet, got it with loss=squared_error: leave it out"),
        ({"receptive_fields": 9}, "receptive_fields belongs to encoding=population, got it with encoding=poisson"),
        (
            {"encoding": "delta"},
            "encoding=delta and encoding=events belong to event data .nmnist, .*randman. and the",
        ),
        ({"loss": "first_spike_mse"}, "loss=first_spike_mse asks when output neurons fire: give votes=1, or more"),
        (
            {"neuron": "relu", "time_steps": 1, "encoding": "direct", "votes": 2},
            "relu neurons do not fire, so that they cannot vote: got votes=2",
        ),
        (
            {"neuron": "relu", "time_steps": 1, "encoding": "direct", "rate_weight": 0.1},
            "relu has no firing rates: rate_weight=0.1 goes without it",
        ),
        ({"truncate": True}, "truncate cuts backpropagation between chunks: give time_chunk from 1 to time_steps - 1"),
        ({"truncate": True, "time_chunk": 100}, "got time_chunk=100, time_steps=100"),
    ],
)
def test_options_that_do_not_go_together(change, message):
    with pytest.raises(ValueError, match=message):
        Config.of(**change)
