"""A network as a table of layers with named sources; one loop runs it."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxsnn.keys import fold_in
from jaxsnn.layers import Dropout, Layer, Masks, NeuronLayer, Sent
from jaxsnn.models.output import Output
from jaxsnn.models.readouts import READOUTS
from jaxsnn.models.rows import INPUT, Row, check_input, joined, make_row, row_shape, with_pools
from jaxsnn.storage import storage_of
from jaxsnn.synapses import Connection
from jaxsnn.typing import Array, DTypeLike, Shape, accumulator


class Network(nnx.Module):
    """Layers in order, each receiving the outputs of earlier layers; the last is the readout.

    The modules of layer `conv1` are the attributes `conv1` (its synapses), `conv1/norm` and `conv1/neurons`; past
    `functionalize` they are `params["conv1"]["kernel"]`, `model_state["conv1"]["neurons"]["leak"]` and so on.

    Args:
      layers: in the order of computation; the last one's neurons need a parameter `threshold`, the unit of the logits.
      input_shape: of one sample at one time step, e.g. `(H, W, C)` or `(features,)`.
      readout: key of `READOUTS`: the answer is the last potential ("last"), say, or the mean over time ("mean").
      dropout: rate after the layers that say so.
      dropout_mask: "fixed", one mask for all steps (E5), or "fresh", another at every step.
      pack_spikes: the backward pass stores spikes in one bit each, not one byte.
      static_input: promise that the input is the same at every step (direct input): currents and norms of layers that
        receive it alone are then computed once, not T times.
      param_dtype: of the input and, by convention, the weights.
      compute_dtype: of spikes and currents between layers; None for `param_dtype`.

    Raises:
      ValueError: for no layer, a name that comes twice, a source that is no earlier layer, synapses that do not fit
        their source, sums of currents of different shapes, an unknown readout.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        input_shape: Shape,
        readout: str = "last",
        dropout: float = 0.0,
        dropout_mask: Masks = "fixed",
        pack_spikes: bool = False,
        static_input: bool = False,
        param_dtype: DTypeLike = jnp.float32,
        compute_dtype: DTypeLike | None = None,
    ):
        if readout not in READOUTS:
            raise ValueError(f"readout must be one of {', '.join(READOUTS)}, got {readout!r}")
        self.input_shape, self.param_dtype = tuple(input_shape), jnp.dtype(param_dtype)
        self.compute_dtype = jnp.dtype(param_dtype if compute_dtype is None else compute_dtype)
        self.readout, self.pack_spikes, self.static_input = readout, pack_spikes, static_input
        made = Dropout(dropout, masks=dropout_mask, param_dtype=param_dtype)
        self.dropout = made if dropout else None
        shapes: dict[str, Shape] = {INPUT: self.input_shape}
        rows: list[Row] = []
        for layer in layers:
            shapes[layer.name] = row_shape(layer, shapes)
            for name, (_, synapse) in layer.synapses.items():
                if hasattr(self, name):
                    raise ValueError(f"two bundles of synapses are called {name!r}: give each a name of its own")
                setattr(self, name, synapse)
            for name, part in (("norm", layer.norm), ("neurons", layer.neurons)):
                if part is not None:
                    setattr(self, f"{layer.name}/{name}", part)
            rows.append(make_row(layer, shapes[layer.name]))
        last = layers[-1].neurons if layers else None
        if last is None or not hasattr(last, "threshold"):
            raise ValueError(
                "the last layer must be a readout: neurons with a parameter `threshold`, the unit of the logits, e.g. "
                "layers.NeuronLayer(neurons.lif().readout)"
            )
        self.rows = with_pools(rows, layers)

    def connections(self) -> tuple[Connection, ...]:
        """Every bundle of synapses between trains, in network order; average pools alone are passed through."""
        connections: list[Connection] = []
        through: dict[str, Connection] = {}
        shapes = {INPUT: self.input_shape, **{row.name: row.shape for row in self.rows}}
        for row in self.rows:
            for name, source in row.synapses:
                made = getattr(self, name).connection(name, source, row.name, shapes[source])
                made = made._replace(neurons=row.neurons, bias=made.bias or (row.norm and name == row.name))
                if source in through:
                    pool = through[source]
                    made = made._replace(source=pool.source, input_shape=pool.input_shape, through=pool)
                if row.through:
                    through[row.name] = made
                else:
                    connections.append(made)
        return tuple(connections)

    @property
    def names(self) -> tuple[str, ...]:
        """Layers that send a train of their own, in network order: the keys of `Output.spike_counts`."""
        return tuple(row.name for row in self.rows[:-1] if not row.through)

    def __call__(
        self,
        x: Array,
        *,
        train: bool = False,
        key: Array | None = None,
        carry: dict[str, Any] | None = None,
        record: bool = False,
        count: bool = False,
        axis_name: str | None = None,
    ) -> Output:
        """Runs T steps.

        Args:
          x: input spikes or currents, `[T, B, ...]`, in the dtype of the parameters.
          train: dropout on, norms take and update statistics.
          key: random key of the dropout masks, or one per sample, `[B]`; the same for all chunks of one train.
          carry: where an earlier call stopped; None starts from rest.
          record: return the spikes of all layers too.
          count: return the spikes of each neuron, summed over time, too; for losses on firing rates.
          axis_name: mesh axis of the devices that share the batch, for norms; None for one device.

        Raises:
          ValueError, TypeError: if the rank, size or dtype of `x` are not what the model was built for, T is 0, dropout
            has no key or not one per sample, or a layer that needs the whole train gets it in chunks.
        """
        check_input(x, self.input_shape, self.param_dtype)
        drop = self.dropout if train else None
        if drop is not None and key is None:
            raise ValueError("this model has dropout: training needs key=jax.random.key(...)")
        if drop is not None and key is not None and key.shape not in ((), x.shape[1:2]):
            raise ValueError(f"dropout needs one key, or one per sample [{x.shape[1]}], got keys of shape {key.shape}")
        start = jnp.int32(0) if carry is None else carry["steps"]
        steps = start + x.shape[0]
        carries: dict[str, Any] = {"steps": steps}
        spikes = {INPUT: x}
        first = x[:1] if self.static_input else x
        sent = {INPUT: Sent(first.astype(self.compute_dtype), None, "numbers")}
        *hidden, last = self.rows
        options: dict[str, Any] = {"carries": carries, "steps": len(x), "train": train, "axis_name": axis_name}
        for number, row in enumerate(hidden):
            made = self._layer(row, sent, carry, dropped=drop is not None and row.dropout, **options)
            if not row.through:
                spikes[row.name] = jnp.broadcast_to(made.x, (len(x), *made.x.shape[1:]))
            if drop is not None and key is not None and row.dropout:
                y, mask = drop.split(made.x, fold_in(key, number), start)
                made = made._replace(x=y, mask=mask)
            sent[row.name] = made
        potentials = self._layer(last, sent, carry, exact=True, **options).x
        gathered = None if carry is None else carry.get("answers")
        gathered, answers = READOUTS[self.readout](gathered, potentials)
        if gathered is not None:
            carries["answers"] = gathered
        logits = answers[-1] / (self._neurons(last).params(1).threshold * steps.astype(answers.dtype))
        axes = {name: (0, *range(2, spikes[name].ndim)) for name in self.names}
        counts = {name: jnp.sum(spikes[name] != 0, axes[name], dtype=jnp.int32) for name in self.names}
        firing = [row.name for row in hidden if row.neurons and count]
        each = {name: jnp.sum(spikes[name].astype(accumulator(spikes[name].dtype)), 0) for name in firing} or None
        return Output(logits, potentials, answers, counts, carries, spikes if record else None, each)

    def membranes(self, spikes: Mapping[str, Array]) -> dict[str, Array]:
        """The potentials before each reset of all hidden layers, `[T, B, ...]`, from recorded spikes and from rest."""
        potentials: dict[str, Array] = {}
        sent = {INPUT: Sent(spikes[INPUT].astype(self.compute_dtype), None, "numbers")}
        for row in self.rows[:-1]:
            currents = self._currents(
                row, sent, None, carries={}, steps=len(spikes[INPUT]), train=False, axis_name=None
            )
            if row.recurrent:
                sent_before = jnp.pad(spikes[row.name][:-1], ((1, 0), *((0, 0),) * (currents.ndim - 1)))
                currents = currents + getattr(self, row.recurrent)(sent_before.astype(currents.dtype))
            if row.neurons:
                potentials[row.name] = self._neurons(row).membranes(currents)
            sent[row.name] = Sent(currents if row.through else spikes[row.name], None, "numbers")
        return potentials

    def thresholds(self) -> dict[str, Array]:
        """The firing threshold of every layer that has a parameter of this name, aligned with `[B, ...]`."""
        params = {row.name: self._neurons(row).params(len(row.shape) + 1) for row in self.rows[:-1] if row.neurons}
        return {name: jnp.asarray(p.threshold) for name, p in params.items() if hasattr(p, "threshold")}

    def _neurons(self, row: Row) -> NeuronLayer:
        neurons: NeuronLayer = getattr(self, f"{row.name}/neurons")
        return neurons

    def _layer(self, row: Row, sent: Mapping[str, Sent], carry: Any, *, dropped: bool = False, **options: Any) -> Sent:
        """The output of a layer before dropout; the state of its neurons goes into `carries`."""
        steps, exact = options["steps"], options.get("exact", False)
        currents = self._currents(row, sent, carry, **options)
        if (row.neurons or row.dropout) and len(currents) < steps:
            currents = jnp.broadcast_to(currents, (steps, *currents.shape[1:]))
        if not row.neurons:
            return Sent(currents.astype(self.compute_dtype), None, row.kind([sent[s].kind for _, s in row.synapses]))
        neurons, carries, rest = self._neurons(row), options["carries"], None if carry is None else carry[row.name]
        if not neurons.neuron.causal and carry is not None:
            raise ValueError(f"the neurons of {row.name} need the whole train at once: run without chunks and carry")
        pooled = {}
        if row.pool and not dropped:
            y, means, carries[row.name] = neurons.pooled(currents, rest, row.pool[1])
            pooled = {row.pool[0]: means.astype(self.compute_dtype)}
        else:
            storage = storage_of(neurons.neuron.sends, pack=self.pack_spikes)
            back = getattr(self, row.recurrent) if row.recurrent else None
            y, carries[row.name] = neurons(currents, rest, back=back, storage=storage)
        return Sent(y if exact else y.astype(self.compute_dtype), None, neurons.neuron.sends, pooled)

    def _currents(
        self,
        row: Row,
        sent: Mapping[str, Sent],
        carry: Any,
        *,
        carries: dict[str, Any],
        steps: int,
        train: bool,
        axis_name: str | None,
        exact: bool = False,
    ) -> Array:
        """The sum of a layer's currents, normed; `exact` computes in the parameters' dtype at least (the readout)."""
        currents = []
        for name, source in row.incoming:
            (x, mask, kind, pooled), synapse = sent[source], getattr(self, name)
            x = x.astype(self.param_dtype) if exact else x
            if hasattr(synapse, "over_time"):  # synapses with delays need earlier inputs
                x, past = jnp.broadcast_to(x, (steps, *x.shape[1:])), f"{name}/past"
                current, carries[past] = synapse.over_time(x, carry and carry[past], mask=mask, train=train)
                currents.append(current)
                continue
            stored = storage_of(kind, pack=self.pack_spikes)
            currents.append(pooled[name] if name in pooled else synapse(x, storage=stored, mask=mask))
        if len(currents) > 1 or exact:
            currents = [current.astype(accumulator(current.dtype)) for current in currents]
        total = joined(currents, row.join)
        if not row.norm:
            return total
        norm = getattr(self, f"{row.name}/norm")
        if train and carry is not None and getattr(norm, "span", "train") == "train":
            raise ValueError(
                f"the norm of {row.name} takes its statistics over the whole train, which comes in chunks here: train "
                "with a chunk of T steps or more (time_chunk), or use a norm with statistics per step"
            )
        if len(total) < steps and not getattr(norm, "once", False):
            total = jnp.broadcast_to(total, (steps, *total.shape[1:]))
        start = 0 if carry is None else carry["steps"]
        normed: Array = norm(total, train=train, axis_name=axis_name, start=start, steps=steps)
        return normed
