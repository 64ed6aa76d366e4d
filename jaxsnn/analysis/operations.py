"""The operations that a network performs, exactly, from the fan-out of every neuron.

These are counted (docs/decisions/0008):

- A synaptic operation (SynOp) is one spike reaching one neuron: spikes times true fan-out. Taps of a kernel that lie
  in the padding, rows that a stride or a pool leaves out, have no neuron on one side and are no operations.
- It is an accumulate (AC) if the train that brings it holds only -1, 0 and 1, and a multiply-accumulate (MAC) if it
  holds anything else (an analog image, counts of events, a ReLU network's activations).
- The equal ReLU network performs one MAC per synapse and sample, zeros included: the sum of all fan-outs.
- Pools and shortcuts of equal widths have no weights: their additions are counted apart. An average pool
  without neurons is no operation: a spike acts through it, with a divided weight, on the layer behind.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxsnn.synapses import Connection


def fan_out(connection: Connection, kernel: np.ndarray | None = None) -> np.ndarray:
    """On how many neurons each input neuron acts: int64, of the shape `connection.input_shape`.

    Args:
      connection: from `models.connections`.
      kernel: its weights; with them, synapses of weight 0 are left out ("effective" operations, NeuroBench).

    Raises:
      ValueError: if the shape of `kernel` is not the shape that the connection names.
    """
    if connection.through is not None:
        return _through_pool(connection.through, fan_out(connection.behind, kernel))
    if connection.kind == "attention":
        return np.full(connection.input_shape, connection.kernel[0], np.int64)
    if connection.kind in ("pool", "subsample"):
        return _unweighted(connection)
    if kernel is not None and kernel.shape != connection.kernel:
        raise ValueError(f"{connection.name} has weights {connection.kernel}, got {kernel.shape}")
    if kernel is None:  # every tap reaches all output features
        kernel = np.ones(connection.kernel, bool)
    if connection.hollow:
        kernel = kernel * ~np.eye(len(kernel), dtype=bool)
    if connection.kind == "dense":
        return np.count_nonzero(kernel, axis=-1).astype(np.int64).reshape(connection.input_shape)
    *taps, channels, features = kernel.shape
    grouped = kernel.reshape(*taps, channels, connection.groups, features // connection.groups)
    reached = np.count_nonzero(grouped, axis=-1).astype(np.int64).swapaxes(-1, -2).reshape(*taps, -1)
    reach = np.zeros(connection.input_shape, np.int64)
    rows, columns = (
        [_inputs_of_tap(tap, connection, axis) for tap in range(connection.kernel[axis])] for axis in (0, 1)
    )
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            reach[row, column] += reached[i, j]
    return reach


def _inputs_of_tap(tap: int, connection: Connection, axis: int) -> slice:
    """The rows (or columns) that output rows 0, 1, ... read through this tap of the kernel: those inside the map."""
    size, count = connection.input_shape[axis], connection.output_shape[axis]
    offset, stride = tap * connection.dilation - connection.pads[axis][0], connection.stride
    first = max(0, -(offset // stride))  # smallest output row whose input row offset + stride * row is >= 0
    last = min(count - 1, (size - 1 - offset) // stride)
    return slice(offset + stride * first, offset + stride * last + 1, stride) if last >= first else slice(0)


def _through_pool(pool: Connection, reach: np.ndarray) -> np.ndarray:
    """A spike acts like one in the map behind the pool, with a divided weight; one in a left-over row does not act."""
    spread = reach.repeat(pool.kernel[0], 0).repeat(pool.kernel[1], 1)
    rest = [(0, had - has) for had, has in zip(pool.behind.input_shape, spread.shape, strict=True)]
    before = np.pad(spread, rest)
    return before if pool.through is None else _through_pool(pool.through, before)


def _unweighted(connection: Connection) -> np.ndarray:
    reach = np.zeros(connection.input_shape, np.int64)
    if connection.kind == "pool":
        height, width = (n * k for n, k in zip(connection.output_shape, connection.kernel, strict=False))
        reach[:height, :width] = 1
    else:
        reach[(slice(None, None, connection.stride),) * (2 if connection.stride > 1 else 0)] = 1
    return reach


def dense_operations(connection: Connection) -> int:
    """Operations of one sample and step if every input neuron is active: MACs of the equal ReLU network (or additions).

    Agrees with NeuroBench's "Dense" synaptic operations.
    """
    return int(fan_out(connection.behind).sum())


def synaptic_operations(
    trains: Mapping[str, np.ndarray], connections: Sequence[Connection], params: Mapping | None = None
) -> dict[str, np.ndarray]:
    """SynOps of every connection for recorded trains; for whole data sets see `make_profile`.

    Args:
      trains: spike trains `[T, B, ...]` by name, `input` included, as a model returns them with `record=True`.
      connections: from `models.connections`.
      params: weights by layer name; with them, synapses of weight 0 are left out.

    Returns:
      Connection name to operations of every sample, summed over time, int64 `[B]`.

    Raises:
      ValueError: if the train of a connection is missing.
    """
    totals = {}
    for connection in connections:
        if connection.source not in trains:
            raise ValueError(f"{connection.name} carries {connection.source}, whose train is missing")
        kernel = None if params is None or not connection.weighted else kernel_of(params, connection)
        counts = np.count_nonzero(np.asarray(trains[connection.source]), axis=0).astype(np.int64)
        totals[connection.name] = (counts * fan_out(connection, kernel)).reshape(len(counts), -1).sum(1)
    return totals


def kernel_of(params: Mapping, connection: Connection) -> np.ndarray:
    """The weights of a connection among the parameters that `models.functionalize` returns."""
    for part in connection.name.split("/"):
        params = params[part]
    return np.asarray(params["kernel"])
