"""From a configuration to what training needs: model, neuron, input, loss, optimiser."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxsnn import encoding, layers, models, training
from jaxsnn.data import Dataset
from jaxsnn.data.prepare import event_frames, normalise
from jaxsnn.lab.augmentations import augment
from jaxsnn.lab.config import Config, fields_with
from jaxsnn.lab.devices import make_distribute, make_fetch, place, spread_evaluation
from jaxsnn.lab.network import NEURONS
from jaxsnn.lab.objectives import LOSSES
from jaxsnn.lab.optimizers import OPTIMIZERS, SCHEDULES
from jaxsnn.lab.splits import sizes
from jaxsnn.training.state import INIT
from jaxsnn.typing import DTypeLike

HParams = dict[str, Any]
"""Field to number, of those that the step computes with: in a sweep they are arrays, one element per member."""


def hparams_of(config: Config) -> HParams:
    """Those of one configuration."""
    return config.values(fields_with(traced="step"))


class Program(NamedTuple):
    """The functions of an experiment, the same for every seed, so that they are compiled once."""

    apply: models.Apply
    optimizer: optax.GradientTransformation
    step: training.TrainStep
    evaluate: Callable[..., training.Evaluation]
    """`(state, images, labels) -> accuracy at every time step, confusion matrix`."""
    count_batch: training.CountBatch
    """What `evaluate` does with one batch."""
    start: Callable[[int], training.TrainState]
    """`seed -> state` before the first step."""


def build(
    config: Config, data: Dataset, *, hparams: HParams | None = None, param_dtype: DTypeLike = jnp.float32
) -> Program:
    """Builds model, optimiser, train step and evaluation.

    Args:
      config: what to build.
      data: its data set.
      hparams: other values for those of `config`; they may be traced.
      param_dtype: of weights, membranes and input.

    Raises:
      ValueError: if the model cannot be built for this data, or a value is out of range.
    """
    hparams = hparams or hparams_of(config)
    optimizer = make_optimizer(config, sizes(config, data).fitting // config.training.batch_size, hparams)

    def model(seed: int) -> Any:
        return models.functionalize(make_model(config, data, seed, hparams=hparams, param_dtype=param_dtype))

    def start(seed: int) -> training.TrainState:
        _, params, model_state = model(seed)
        return place(config, training.init_state(params, model_state, optimizer, seed))

    chunk = config.network.time_chunk or models.default_chunk(config.network.time_steps)
    apply = models.in_chunks(model(config.training.seed)[0], chunk, remat=config.network.remat)

    def prepare(key: jax.Array, images: jax.Array, *, train: bool) -> jax.Array:
        return make_prepare(config, train=train, hparams=hparams)(key, images).astype(param_dtype)

    fetch = make_fetch(config)
    step = training.make_train_step(
        apply,
        optimizer,
        make_loss(config),
        functools.partial(prepare, train=True),
        config.training.batch_size,
        distribute=make_distribute(config),
        fetch=fetch,
    )
    batch, seen = (
        config.training.evaluation_batch,
        (spread_evaluation(config, apply), functools.partial(prepare, train=False)),
    )

    @functools.cache
    def evaluate_by(size: int) -> Callable[..., training.Evaluation]:
        return training.make_evaluate(*seen, size, fetch=fetch)

    def evaluate(state: training.TrainState, images: jax.Array, labels: jax.Array) -> training.Evaluation:
        return evaluate_by(max(min(batch, len(labels)), 1))(state, images, labels)  # no more work than samples

    count_batch = training.make_count_batch(*seen, batch, fetch=fetch)
    return Program(apply, optimizer, step, evaluate, count_batch, start)


def make_model(
    config: Config,
    data: Dataset,
    seed: int,
    *,
    neuron: layers.Neuron | None = None,
    hparams: HParams | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> models.Sequential:
    """The network before the first step; arguments as in `build`, and other neurons than those of `config`."""
    readout = config.network.readout
    return models.create(
        config.network.model,
        input_shape=data.train_images.shape[-3:],
        num_classes=data.num_classes,
        neuron=neuron or make_neuron(config, hparams),
        leaks=config.network.layer_leaks(),
        thresholds=config.network.layer_thresholds(),
        dropout=config.network.dropout,
        dropout_mask=config.network.dropout_mask,  # type: ignore[arg-type]
        pool=config.network.pool,  # type: ignore[arg-type]
        width=config.network.width,
        init_gain=config.network.init_gain,
        param_dtype=param_dtype,
        compute_dtype=param_dtype if config.network.compute_dtype == "float32" else config.network.compute_dtype,
        **({} if readout == "last" else {"readout": readout}),  # the default of `models.create`
        rngs=nnx.Rngs(training.key_for(seed, INIT)),
    )


def restore(program: Program, seed: int, where: Path, step: int | None = None) -> training.TrainState:
    """The state of the run in the folder `where` after a step, the last checkpoint's by default."""
    checkpoints = training.Checkpoints(where / "checkpoints", reading=True)
    try:
        return checkpoints.load(program.start(seed), step)
    finally:
        checkpoints.close()


def make_neuron(config: Config, hparams: HParams | None = None) -> layers.Neuron:
    """The neuron that the network group describes."""
    return NEURONS[config.network.neuron](config.network, (hparams or hparams_of(config))["slope"])


def make_prepare(config: Config, *, train: bool, hparams: HParams | None = None) -> Callable[..., jax.Array]:
    """`(key, images) -> spikes [T, B, H, W, C]`: augmentation (training only), normalisation, encoding."""
    gain = (hparams or hparams_of(config))["gain"]

    def prepare(key: jax.Array, images: jax.Array) -> jax.Array:
        augment_key, spike_key = jax.random.split(key)
        if train:
            images = augment(config.data, augment_key, images)
        if config.network.encoding == "events":
            frames = event_frames(images)
            return frames if config.network.spiking else frames.mean(0, keepdims=True)
        x = normalise(images, config.data.mean, config.data.std)
        if config.network.encoding == "poisson":
            return encoding.poisson(spike_key, x, config.network.time_steps, gain=gain)
        return getattr(encoding, config.network.encoding)(x, config.network.time_steps)

    return prepare


def make_loss(config: Config) -> Callable[[models.Output, jax.Array], jax.Array]:
    """`(output, labels) -> scalar`."""
    return LOSSES[config.training.loss].function


def make_optimizer(
    config: Config, steps_per_epoch: int, hparams: HParams | None = None
) -> optax.GradientTransformation:
    """The optimiser with its weight decay, under the learning-rate schedule."""
    hparams = hparams or hparams_of(config)
    rate = SCHEDULES[config.training.schedule].make(config.training, hparams["lr"], steps_per_epoch)
    return OPTIMIZERS[config.training.optimizer](config.training, rate, hparams["weight_decay"])
