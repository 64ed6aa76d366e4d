"""A spiking network whose layers follow one another, ended by a readout."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx

from jaxsnn.checks import check_steps
from jaxsnn.layers import AvgPool, Dropout, Masks, Readout, ResidualBlock, SpikingAvgPool
from jaxsnn.layers.dropout import fold_in
from jaxsnn.typing import Array, DTypeLike, Shape


class Output(NamedTuple):
    """What a model returns."""

    logits: Array
    """Readout at the last step over `V_th T` (E6), `[B, classes]`; T counts the steps since the carry started."""
    potentials: Array
    """Readout membrane at every step, `[T, B, classes]`: accuracy at any time from one pass."""
    spikes: dict[str, Array]
    """Layer name to spikes per sample in this call, `[B]`; in residual blocks `block1/conv1`, `block1/conv2`.
    A pool without neurons sends none and is left out, here and in `trains`."""
    carry: dict[str, Any]
    """Layer name to neuron state after the last step, and `steps`: hand it back to go on in time."""
    trains: dict[str, Array] | None
    """Layer name to spikes at every step `[T, B, ...]`, `input` included; None unless `record=True`."""


class Sequential(nnx.Module):
    """Layers in order, by name. The last is the readout; dropout follows every hidden layer but pools (E5)."""

    def __init__(
        self,
        layers: dict[str, nnx.Module],
        *,
        input_shape: Shape,
        dropout: float = 0.0,
        dropout_mask: Masks = "fixed",
        param_dtype: DTypeLike = jnp.float32,
        compute_dtype: DTypeLike | None = None,
    ):
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.names = tuple(layers)
        self.input_shape, self.param_dtype = tuple(input_shape), jnp.dtype(param_dtype)
        self.compute_dtype = jnp.dtype(param_dtype if compute_dtype is None else compute_dtype)
        made = Dropout(dropout, masks=dropout_mask, param_dtype=param_dtype)
        self.dropout = made if dropout else None

    def __call__(
        self,
        x: Array,
        *,
        train: bool = False,
        key: Array | None = None,
        carry: dict[str, Any] | None = None,
        record: bool = False,
    ) -> Output:
        """Runs T steps.

        Args:
          x: input spikes or currents, `[T, B, H, W, C]`, in the dtype of the parameters.
          train: dropout on.
          key: random key of the dropout masks, or one per sample, `[B]`; the same for all pieces of one train.
          carry: where an earlier call stopped; None starts from rest.
          record: return the spike trains of all layers too.

        Raises:
          ValueError, TypeError: if the rank, channels, size or dtype of `x` are not what the model was built for, T is
            0, or dropout has no key, or not one per sample.
        """
        self._check(x)
        drop = self.dropout if train else None
        if drop is not None and key is None:
            raise ValueError("this model has dropout: training needs key=jax.random.key(...)")
        if drop is not None and key is not None and key.shape not in ((), x.shape[1:2]):
            raise ValueError(f"dropout needs one key, or one per sample [{x.shape[1]}], got keys of shape {key.shape}")
        readout = getattr(self, self.names[-1])
        if not isinstance(readout, Readout):
            raise TypeError(f"the last layer must be a Readout, got {type(readout).__name__}")
        start = jnp.int32(0) if carry is None else carry["steps"]
        steps = start + x.shape[0]
        carries: dict[str, Any] = {"steps": steps}
        trains, spikes, mask, number = {"input": x}, {}, None, 0
        x = x.astype(self.compute_dtype)
        for name in self.names[:-1]:
            layer = getattr(self, name)
            block = layer.parts(x, mask) if isinstance(layer, ResidualBlock) else None
            parts = {name: layer} if block is None else {f"{name}/{part}": call for part, call in block.items()}
            for part, call in parts.items():
                x, carries[part] = call(x, None if carry is None else carry[part], mask)
                mask = None
                if not isinstance(layer, AvgPool):
                    trains[part] = x
                    spikes[part] = jnp.sum(x, (0, *range(2, x.ndim)), dtype=self.param_dtype)
                if drop is not None and key is not None and not isinstance(layer, AvgPool | SpikingAvgPool):
                    x, mask = drop.split(x, fold_in(key, number), start)
                number += 1
        name = self.names[-1]
        potentials, carries[name] = readout(x, None if carry is None else carry[name], mask)
        logits = potentials[-1] / (readout.constants().threshold * steps.astype(potentials.dtype))
        return Output(logits, potentials, spikes, carries, trains if record else None)

    def _check(self, x: Array) -> None:
        expected = f"[T, B, {', '.join(map(str, self.input_shape))}]"
        shape = jnp.shape(x)
        if len(shape) != 2 + len(self.input_shape):
            raise ValueError(
                f"model input must be time-major spikes {expected}, got rank {len(shape)} {shape}; "
                "encode images [B, H, W, C] first, e.g. encoding.poisson(key, images, steps)"
            )
        if shape[2:] != self.input_shape:
            raise ValueError(
                f"model input must be {expected}, got {shape}: this model was built with "
                f"input_shape={self.input_shape} (height, width, channels last)"
            )
        check_steps(shape[0])
        if jnp.result_type(x) != self.param_dtype:
            raise TypeError(
                f"model input must be {self.param_dtype} like its parameters, got {jnp.result_type(x)}; "
                f"convert with x.astype('{self.param_dtype}'), or create the model with another param_dtype"
            )
