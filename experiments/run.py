"""From a configuration to a trained network, its metrics, its figures and a table: what all experiments share."""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from absl import app, flags, logging
from flax import nnx

from experiments import folder, report
from experiments.config import Config, Presets, define_flags, from_flags
from jaxsnn import SURROGATES, encoding, layers, losses, models, training
from jaxsnn.data import DataNotFoundError, Dataset, load
from jaxsnn.data.prepare import crop_and_flip, normalise, to_device
from jaxsnn.training.state import INIT


def main(presets: Presets, module: str) -> None:
    """Parses flags, runs the experiment, prints its table; errors of use end with a message, not a traceback."""

    def run_from_flags(argv: list[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(f"unexpected argument {argv[1]!r}: options are written --name=value")
        logging.set_verbosity(logging.WARNING)  # orbax tells every step of a checkpoint
        try:
            run(from_flags(presets), flags.FLAGS.preset)
        except training.Interrupted as stopped:
            print(stopped, file=sys.stderr)
            sys.exit(130)
        except (ValueError, TypeError, OSError, ImportError, training.CheckpointError, training.NonFiniteLoss) as error:
            if isinstance(error, DataNotFoundError | OSError | ImportError) or _ours(error):
                print(f"error: {error}", file=sys.stderr)
                sys.exit(1)
            raise

    define_flags(presets, module)
    app.run(run_from_flags)


def _ours(error: BaseException) -> bool:
    """Whether an error was raised by this project's own checks: those are meant to be read without a traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").split(".")[0] in ("jaxsnn", "experiments")


def run(config: Config, name: str) -> dict[str, Any]:
    """Trains `config.seeds` networks, writes the run folder, prints the table; returns what `results.json` holds."""
    run_folder = folder.open_run(config, name)
    data = load(config.dataset, data_dir=config.data_dir or None, cache_dir=config.cache_dir or None)
    print(f"{name}: {len(data.train_labels)} training and {len(data.test_labels)} test images, run folder {run_folder}")
    results = []
    for seed in range(config.seed, config.seed + config.seeds):
        results.append(train(dataclasses.replace(config, seed=seed), data, run_folder / f"seed{seed}"))
    summary = report.write(run_folder, name, config, results)
    if config.figures:
        for path in report.draw(run_folder, config, data, functools.partial(restore, config, data)):
            print(f"wrote {path}")
    return summary


def train(config: Config, data: Dataset, where: Path) -> dict[str, Any]:
    """Trains one network into the folder `where`, from its last checkpoint if there is one and `config.resume`."""
    began = time.perf_counter()
    fitting, validation, test = split(config, data)
    apply, optimizer, state = build(config, data)
    step = training.make_train_step(apply, optimizer, make_loss(config), make_prepare(config, train=True), config.batch_size)
    accuracy = training.make_evaluate(apply, make_prepare(config, train=False), config.evaluation_batch)

    def evaluate(state: training.TrainState) -> dict[str, float]:
        return {
            f"{part}_accuracy": float(accuracy(state, *sets)[-1])
            for part, sets in (("validation", validation), ("test", test))
        }

    where.mkdir(parents=True, exist_ok=True)
    metrics, checkpoints = training.MetricsFile(where / "metrics.jsonl"), training.Checkpoints(where / "checkpoints")
    try:
        if config.resume and checkpoints.steps():
            state = checkpoints.load(state)
            print(f"seed {config.seed}: resuming after step {int(state.step)}")
            metrics.rewind(int(state.step))
        else:
            metrics.rewind(-1)
        training.fit(
            state, step, fitting, batch_size=config.batch_size, epochs=config.epochs, evaluate=evaluate, metrics=metrics,
            checkpoints=checkpoints, evaluate_every=config.evaluate_every, log_every=config.log_every,
            checkpoint_every=config.checkpoint_every or None, progress=config.progress, description=f"seed {config.seed}",
        )  # fmt: skip
    finally:
        checkpoints.close()
    return report.scores(config.seed, metrics.read(), time.perf_counter() - began)


def split(config: Config, data: Dataset) -> tuple[training.Data, training.Data, training.Data]:
    """Training, validation and test part on the device; the validation part is the same for every seed.

    Raises:
      ValueError: if nothing is left to train on.
    """
    count = len(data.train_labels)
    if config.validation >= count:
        raise ValueError(f"validation={config.validation} images leave none of {count} to train on")
    order = np.random.default_rng(0).permutation(count)
    held, kept = order[: config.validation], order[config.validation :]
    kept = kept[: config.limit or None]
    put = functools.partial(to_device, num_classes=data.num_classes)
    stop = config.limit_test or None
    return (
        training.Data(*put(data.train_images[kept], data.train_labels[kept])),
        training.Data(*put(data.train_images[held], data.train_labels[held])),
        training.Data(*put(data.test_images[:stop], data.test_labels[:stop])),
    )


def build(config: Config, data: Dataset) -> tuple[models.Apply, optax.GradientTransformation, training.TrainState]:
    """The model as a pure function, its optimiser, and the state before the first step."""
    model = models.create(
        config.model, input_shape=data.train_images.shape[1:], num_classes=data.num_classes, neuron=make_neuron(config),
        dropout=config.dropout, init_scale=config.init_scale, rngs=nnx.Rngs(training.stream(config.seed, INIT)),
    )  # fmt: skip
    apply, params, constants = models.functionalize(model)
    samples = min(len(data.train_labels) - config.validation, config.limit or len(data.train_labels))
    optimizer = make_optimizer(config, samples // config.batch_size)
    return apply, optimizer, training.create(params, constants, optimizer, config.seed)


def restore(config: Config, data: Dataset, where: Path) -> tuple[models.Apply, training.TrainState]:
    """The model of a finished run and its last state."""
    apply, _, template = build(config, data)
    checkpoints = training.Checkpoints(where / "checkpoints")
    try:
        return apply, checkpoints.load(template)
    finally:
        checkpoints.close()


def make_neuron(config: Config) -> layers.Neuron:
    """The neuron that `rule`, leak, thresholds, reset and order describe."""
    if config.rule == "spikebp":
        return layers.SpikeBP(config.leak, config.threshold, config.pool_threshold)
    spike = functools.partial(SURROGATES[config.rule], slope=config.slope)
    return layers.LIF(
        config.leak, config.threshold, config.pool_threshold, spike=spike, reset=config.reset,  # type: ignore[arg-type]
        leak_first=config.leak_first, learn=config.learn,
    )  # fmt: skip


def make_prepare(config: Config, *, train: bool) -> Callable[..., jax.Array]:
    """`(key, images) -> spikes [T, B, H, W, C]`: augmentation (training only), normalisation, encoding."""

    def prepare(key: jax.Array, images: jax.Array) -> jax.Array:
        augment_key, spike_key = jax.random.split(key)
        if train and config.augment:
            images = crop_and_flip(augment_key, images)
        x = normalise(images, config.mean, config.std)
        if config.encoding == "poisson":
            return encoding.poisson(spike_key, x, config.time_steps, gain=config.gain)
        return getattr(encoding, config.encoding)(x, config.time_steps)

    return prepare


def make_loss(config: Config) -> Callable[[models.Output, jax.Array], jax.Array]:
    """`(output, labels) -> scalar`."""
    if config.loss == "squared_error":
        return lambda output, labels: losses.squared_error(output.logits, labels)
    function = getattr(losses, config.loss)
    return lambda output, labels: function(output.potentials, labels)


def make_optimizer(config: Config, steps_per_epoch: int) -> optax.GradientTransformation:
    """Weight decay added to the gradient, then SGD or Adam under the learning-rate schedule."""
    schedule: Any = config.lr
    if config.schedule == "steps":
        schedule = optax.piecewise_constant_schedule(
            config.lr, {epoch * steps_per_epoch: config.lr_decay for epoch in config.lr_decay_epochs}
        )
    elif config.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(config.lr, max(config.epochs * steps_per_epoch, 1))
    scale = optax.sgd(schedule, config.momentum or None) if config.optimizer == "sgd" else optax.adam(schedule)
    return optax.chain(optax.add_decayed_weights(config.weight_decay), scale)
