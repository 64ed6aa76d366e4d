"""From a configuration to the parts of training: model, neuron, input, loss, optimiser."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxsnn import models, training
from jaxsnn.data import Dataset
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab.config import Config, fields_with
from jaxsnn.lab.devices import make_fetch, place, spread_evaluation, spread_gradients
from jaxsnn.lab.inputs import input_shape, make_augment, make_prepare
from jaxsnn.lab.neurons import make_neurons
from jaxsnn.lab.optimizers import OPTIMIZERS, SCHEDULES
from jaxsnn.lab.splits import sizes
from jaxsnn.losses import LOSSES, rate_penalty, smooth
from jaxsnn.neurons import Neurons
from jaxsnn.synapses import Connection
from jaxsnn.training.state import INIT
from jaxsnn.typing import Apply, ArrayLike, DTypeLike

HParams = dict[str, Any]
"""Field to number, of those that the step computes with: in a sweep they are arrays, one element per member."""


def hparams_of(config: Config) -> HParams:
    """Those of one configuration."""
    return config.values(fields_with(traced="step"))


class Program(NamedTuple):
    """The functions of an experiment, the same for every seed, so that they are compiled once."""

    apply: Apply
    optimizer: optax.GradientTransformation
    step: training.TrainStep
    evaluate: Callable[..., training.Evaluation]
    """`(state, images, labels, number of the set) -> accuracy at every time step, confusion matrix`."""
    count_batch: training.CountBatch
    """The part of `evaluate` that counts one batch."""
    start: Callable[[int], training.TrainState]
    """`seed -> state` before the first step."""
    connections: tuple[Connection, ...]
    """Synapses of the network."""


def build(
    config: Config, data: Dataset, *, hparams: HParams | None = None, param_dtype: DTypeLike = jnp.float32
) -> Program:
    """Builds model, optimiser, train step and evaluation.

    Args:
      config: configuration of the run.
      data: its data set.
      hparams: other values for those of `config`; they may be traced.
      param_dtype: of weights, membranes and input.

    Raises:
      ValueError: if the model cannot be built for this data, or a value is out of range.
    """
    hparams = hparams or hparams_of(config)
    per_epoch = sizes(config, data).fitting // config.training.batch_size
    optimizer = make_optimizer(config, per_epoch, hparams)

    def model(seed: int) -> models.Network:
        return make_model(config, data, seed, hparams=hparams, param_dtype=param_dtype)

    def start(seed: int) -> training.TrainState:
        _, params, model_state = models.functionalize(model(seed))
        return place(config, training.init_state(params, model_state, optimizer, seed, ema=config.training.ema))

    module = model(config.training.seed)
    whole, fetch, steps = models.functionalize(module)[0], make_fetch(config), config.network.time_steps
    options: dict[str, Any] = {"remat": config.network.remat, "truncate": config.network.truncate}

    def in_time(steps: int, *, backward: bool) -> tuple[models.Apply, training.Prepare]:
        """The model in chunks and its input, of trains of this many steps."""
        chunk = _chunk(config, module, steps, backward=backward and not config.network.remat)
        encode = make_prepare(config.replace(time_steps=steps, short_epochs=0), gain=hparams["gain"])
        return models.in_chunks(whole, chunk, **options), lambda keys, images: encode(keys, images).astype(param_dtype)

    def train_step(apply: models.Apply, prepare: training.Prepare) -> training.TrainStep:
        trained = functools.partial(apply, count=True) if config.training.rate_weight else apply
        gradients = training.backpropagation(trained, make_loss(config, data.num_classes, hparams))
        return training.make_train_step(
            spread_gradients(config, gradients),
            optimizer,
            prepare,
            config.training.batch_size,
            fetch=fetch,
            augment=make_augment(config, data.num_classes),
            ema=config.training.ema,
        )

    step = train_step(*in_time(steps, backward=True))
    if config.training.short_epochs:
        short = train_step(*in_time(config.training.short_steps, backward=True))
        step = training.switch_step(short, step, config.training.short_epochs * per_epoch)
    apply, prepare = in_time(steps, backward=False)
    batch = config.training.evaluation_batch
    seen = (spread_evaluation(config, apply), prepare)

    @functools.cache
    def evaluate_by(size: int) -> Callable[..., training.Evaluation]:
        return training.make_evaluate(*seen, size, fetch=fetch)

    def evaluate(
        state: training.TrainState, images: jax.Array, labels: jax.Array, number: ArrayLike = 0
    ) -> training.Evaluation:
        return evaluate_by(max(min(batch, len(labels)), 1))(state, images, labels, number)  # no more work than samples

    count_batch = training.make_count_batch(*seen, batch, fetch=fetch)
    return Program(apply, optimizer, step, evaluate, count_batch, start, models.connections(module))


def make_model(
    config: Config,
    data: Dataset,
    seed: int,
    *,
    neurons: Neurons | None = None,
    hparams: HParams | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> models.Network:
    """The network before the first step; arguments as in `build`, and other neurons than those of `config`."""
    network = config.network
    return models.create(
        network.model,
        input_shape=input_shape(config, data),
        num_classes=data.num_classes,
        neurons=neurons or make_neurons(network, (hparams or hparams_of(config))["slope"]),
        per_layer={"leak": network.layer_leaks(), "threshold": network.layer_thresholds()},
        readout=network.readout or LOSSES[config.training.loss].readout,
        votes=network.votes,
        norm=network.norm,
        norm_groups=network.norm_groups,
        time_steps=network.time_steps,
        dropout=network.dropout,
        dropout_mask=network.dropout_mask,
        pool=network.pool,
        width=network.width,
        init_gain=network.init_gain,
        param_dtype=param_dtype,
        compute_dtype=param_dtype if network.compute_dtype == "float32" else network.compute_dtype,
        precision=network.precision,
        bias=network.bias,
        delays=network.delays,
        recurrent=network.recurrent,
        standardise=network.standardise,
        static_input=ENCODINGS[network.encoding].constant,
        rngs=nnx.Rngs(training.key_for(seed, INIT)),
        **({"hidden": network.hidden} if network.hidden else {}),
    )


def _chunk(config: Config, module: models.Network, steps: int, *, backward: bool = False) -> int:
    return models.training_chunk(module, steps, min(config.network.time_chunk, steps), backward=backward)


def evaluated_apply(config: Config, module: models.Network) -> models.Apply:
    """The network as `build` evaluates it, without the parts of a training."""
    return models.in_chunks(models.functionalize(module)[0], _chunk(config, module, config.network.time_steps))


def restore(program: Program, seed: int, folder: Path, step: int | None = None) -> training.TrainState:
    """The state of the run in `folder` after a step, the last checkpoint's by default."""
    return training.Checkpoints(folder / "checkpoints", reading=True).load(program.start(seed), step)


def make_optimizer(
    config: Config, steps_per_epoch: int, hparams: HParams | None = None
) -> optax.GradientTransformation:
    """The optimiser with its weight decay, under the learning-rate schedule; the gradient is cut before both."""
    hparams = hparams or hparams_of(config)
    rate = SCHEDULES[config.training.schedule].make(config.training, hparams["lr"], steps_per_epoch)
    optimizer = OPTIMIZERS[config.training.optimizer](config.training, rate, hparams["weight_decay"])
    clip = config.training.clip
    return optax.chain(optax.clip_by_global_norm(clip), optimizer) if clip else optimizer


def make_loss(config: Config, num_classes: int, hparams: HParams | None = None) -> training.Loss:
    """The loss with its options, smoothed labels and penalty on firing rates, those that are on."""
    loss, hparams, on = LOSSES[config.training.loss], hparams or hparams_of(config), config.training
    options = {name: hparams[name] for name in loss.options}

    def value(output: Any, labels: jax.Array) -> jax.Array:
        if on.label_smoothing:
            labels = smooth(labels, hparams["label_smoothing"], num_classes)
        result = loss.function(output, labels, **options)
        if on.rate_weight:
            bounds = {"lower": hparams["rate_lower"], "upper": hparams["rate_upper"]}
            penalty = rate_penalty(output.neuron_counts, len(output.potentials), **bounds)
            total = jnp.sum(penalty) if loss.reduction == "sum" else jnp.mean(penalty)
            result = result + (hparams["rate_weight"] * total).astype(result.dtype)
        return result

    return value
