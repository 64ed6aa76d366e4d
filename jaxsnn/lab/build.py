"""From a configuration to what training needs: model, neuron, input, loss, optimiser."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxsnn import SURROGATES, encoding, layers, losses, models, training
from jaxsnn.data import Dataset
from jaxsnn.data.prepare import event_frames, normalise, shift_and_flip
from jaxsnn.lab.config import Config
from jaxsnn.lab.devices import make_distribute, make_fetch, place, spread_evaluation
from jaxsnn.lab.splits import fold_size
from jaxsnn.training.state import INIT
from jaxsnn.typing import ArrayLike, DTypeLike


class HParams(NamedTuple):
    """HParams of a configuration that the step computes with: in a sweep they are arrays, one element per member."""

    lr: ArrayLike
    weight_decay: ArrayLike
    gain: ArrayLike
    slope: ArrayLike | None


def hparams_of(config: Config) -> HParams:
    """Those of one configuration."""
    return HParams(*(getattr(config, name) for name in HParams._fields))


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
    count = len(data.train_labels)
    samples = min(count - fold_size(config, count) - config.validation, config.limit or count)
    hparams = hparams or hparams_of(config)
    optimizer = make_optimizer(config, samples // config.batch_size, hparams)

    def model(seed: int) -> Any:
        return models.functionalize(make_model(config, data, seed, hparams=hparams, param_dtype=param_dtype))

    def start(seed: int) -> training.TrainState:
        _, params, model_state = model(seed)
        return place(config, training.init_state(params, model_state, optimizer, seed))

    chunk = config.time_chunk or models.default_chunk(config.time_steps)
    apply = models.in_chunks(model(config.seed)[0], chunk, remat=config.remat)

    def prepare(key: jax.Array, images: jax.Array, *, train: bool) -> jax.Array:
        return make_prepare(config, train=train, hparams=hparams)(key, images).astype(param_dtype)

    fetch = make_fetch(config)
    step = training.make_train_step(
        apply,
        optimizer,
        make_loss(config),
        functools.partial(prepare, train=True),
        config.batch_size,
        distribute=make_distribute(config),
        fetch=fetch,
    )
    seen = (spread_evaluation(config, apply), functools.partial(prepare, train=False), config.evaluation_batch)
    evaluate, count_batch = training.make_evaluate(*seen, fetch=fetch), training.make_count_batch(*seen, fetch=fetch)
    return Program(apply, optimizer, step, evaluate, count_batch, start)


def make_model(
    config: Config,
    data: Dataset,
    seed: int,
    *,
    hparams: HParams | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> models.Sequential:
    """The network before the first step; arguments as in `build`."""
    return models.create(
        config.model,
        input_shape=data.train_images.shape[-3:],
        num_classes=data.num_classes,
        neuron=make_neuron(config, hparams),
        leaks=config.layer_values("leaks"),
        thresholds=config.layer_values("thresholds"),
        dropout=config.dropout,
        dropout_mask=config.dropout_mask,  # type: ignore[arg-type]
        pool=config.pool,  # type: ignore[arg-type]
        width=config.width,
        init_gain=config.init_gain,
        param_dtype=param_dtype,
        compute_dtype=param_dtype if config.compute_dtype == "float32" else config.compute_dtype,
        rngs=nnx.Rngs(training.key_for(seed, INIT)),
    )


def restore(program: Program, seed: int, where: Path, step: int | None = None) -> training.TrainState:
    """The state of the run in the folder `where` after a step, the last checkpoint's by default."""
    return training.Checkpoints(where / "checkpoints", reading=True).load(program.start(seed), step)


def make_neuron(config: Config, hparams: HParams | None = None) -> layers.Neuron:
    """The neuron that `rule`, leak, thresholds, reset and order describe."""
    hparams = hparams or hparams_of(config)
    if config.rule == "spikebp":
        return layers.SpikeBP(
            config.leak,
            config.threshold,
            config.pool_threshold,
            pack_spikes=config.pack_spikes,
            leak_correction=config.leak_correction,
            leak_backward=config.leak_backward,  # type: ignore[arg-type]
        )
    if config.rule == "relu":
        return layers.ReLU()
    spike = functools.partial(SURROGATES[config.rule], slope=hparams.slope)
    return layers.LIF(
        config.leak,
        config.threshold,
        config.pool_threshold,
        spike=spike,
        reset=config.reset,  # type: ignore[arg-type]
        leak_first=config.leak_first,
        learn=config.learn,
        pack_spikes=config.pack_spikes,
    )


def make_prepare(config: Config, *, train: bool, hparams: HParams | None = None) -> Callable[..., jax.Array]:
    """`(key, images) -> spikes [T, B, H, W, C]`: augmentation (training only), normalisation, encoding."""
    gain = (hparams or hparams_of(config)).gain

    def prepare(key: jax.Array, images: jax.Array) -> jax.Array:
        augment_key, spike_key = jax.random.split(key)
        if train and (config.shift or config.flip):
            images = shift_and_flip(augment_key, images, shift=config.shift, flip=config.flip)
        if config.encoding == "events":
            frames = event_frames(images)
            return frames.mean(0, keepdims=True) if config.rule == "relu" else frames
        x = normalise(images, config.mean, config.std)
        if config.encoding == "poisson":
            return encoding.poisson(spike_key, x, config.time_steps, gain=gain)
        return getattr(encoding, config.encoding)(x, config.time_steps)

    return prepare


def make_loss(config: Config) -> Callable[[models.Output, jax.Array], jax.Array]:
    """`(output, labels) -> scalar`."""
    if config.loss == "squared_error":
        return lambda output, labels: losses.squared_error(output.logits, labels)
    function = getattr(losses, config.loss)
    return lambda output, labels: function(output.potentials, labels)


def make_optimizer(
    config: Config, steps_per_epoch: int, hparams: HParams | None = None
) -> optax.GradientTransformation:
    """Weight decay added to the gradient, then SGD or Adam under the learning-rate schedule; or AdamW."""
    hparams = hparams or hparams_of(config)
    schedule: Any = hparams.lr
    if config.schedule == "steps":
        schedule = optax.piecewise_constant_schedule(
            hparams.lr, {epoch * steps_per_epoch: config.lr_decay for epoch in config.lr_decay_epochs}
        )
    elif config.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(hparams.lr, max(config.epochs * steps_per_epoch, 1))
    if config.optimizer == "adamw":
        return optax.adamw(schedule, weight_decay=hparams.weight_decay)
    scale = optax.sgd(schedule, config.momentum or None) if config.optimizer == "sgd" else optax.adam(schedule)
    return optax.chain(optax.add_decayed_weights(hparams.weight_decay), scale)
