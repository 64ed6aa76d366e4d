"""Weights as safetensors by parameter path, with the neurons that they were trained with; and state dicts of PyTorch.

A file holds `params/conv1/kernel`, `model_state/conv1/neurons/leak` and so on. Its metadata names the cell of every
layer, its reset and its order: the same weights in other neurons are another network (a network trained with a soft
reset and run with a hard one lost ten points in Huang et al. 2024, arXiv 2402.04663), so they are compared on load.
A SHA-256 of names, numbers and metadata is in the metadata too: the format has no checksum of its own.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxsnn import files
from jaxsnn.models import Network, functionalize
from jaxsnn.typing import Shape

VERSION = "2"
DIGEST = "sha256"
"""The entry of the metadata that is made from all else."""
Tree = dict[str, Any]


def save_weights(
    path: str | Path, model: Network, params: Tree, model_state: Tree, *, half: bool = False, **facts: str
) -> None:
    """Writes a network's numbers.

    Args:
      path: the file; written whole or not at all.
      model: the network, whose neurons are written down.
      params, model_state: as of `models.functionalize`.
      half: round the parameters to float16, in half the bytes; `load_weights` gives them in the model's type again.
      facts: strings for the file's metadata, e.g. accuracy, command, commit.

    Raises:
      OSError: if it cannot be written.
      ValueError: with `half`, for a parameter too large for float16.
    """
    arrays = {f"{tree}/{name}": np.array(value, order="C") for tree, name, value in _flat(params, model_state)}
    for name in [name for name in arrays if half and name.startswith("params/")]:
        if np.abs(arrays[name]).max(initial=0) > np.finfo(np.float16).max:
            raise ValueError(f"{name} has numbers too large for float16: write the file without half")
        arrays[name] = arrays[name].astype(np.float16)
    told = {"jaxsnn": VERSION, "neurons": json.dumps(_neurons(model)), **facts}
    told[DIGEST] = _digest(arrays, told)
    files.write_whole(Path(path), safetensors.numpy.save(arrays, told))


def read_facts(path: str | Path) -> dict[str, str]:
    """The metadata of a file of `save_weights`, the given facts among them; raises as `load_weights`."""
    return _checked(Path(path))[1]


def load_weights(path: str | Path, model: Network) -> tuple[Tree, Tree]:
    """Reads a network's numbers into the shape of `model`; returns `(params, model_state)`.

    Args:
      path: a file of `save_weights`.
      model: a network of the same layers and neurons.

    Raises:
      ValueError: for a file that is none, damaged or changed, another version, layers or shapes that differ, or
        neurons with another cell, reset or order.
      OSError: if it cannot be read.
    """
    arrays, told = _checked(Path(path))
    theirs, ours = json.loads(told["neurons"]), _neurons(model)
    for name in sorted({*theirs, *ours}):
        if theirs.get(name) != ours.get(name):
            raise ValueError(
                f"{path} was trained with other neurons in {name}: there {theirs.get(name, 'no such layer')}, here "
                f"{ours.get(name, 'no such layer')}; build the network with the same"
            )
    _, params, model_state = functionalize(model)
    wanted = {f"{tree}/{name}": value for tree, name, value in _flat(params, model_state)}
    _compare(path, {name: value.shape for name, value in arrays.items()}, {n: np.shape(v) for n, v in wanted.items()})
    typed = {tuple(name.split("/")): arrays[name].astype(jnp.asarray(value).dtype) for name, value in wanted.items()}
    trees: dict[str, Tree] = unflatten_dict(typed)
    return trees["params"], trees.get("model_state", {})


def from_torch(source: str | Path | Mapping[str, Any], model: Network) -> Tree:
    """The parameters of a network with the weights of a PyTorch network of the same layers, as of SpikingJelly.

    Weights are taken in the order of the state dict, as the layers of `model` stand: `weight` `[out, in, kh, kw]` and
    `[out, in]`, `bias`. The rows of a dense layer behind maps are turned from C, H, W to H, W, C. Numbers of neurons
    are left alone: give them to the model.

    Args:
      source: a state dict of NumPy arrays, or a file of one: `.safetensors` or `.npz`.
      model: the network to fill.

    Raises:
      ValueError: if the numbers of weights, their shapes, or their biases differ from the model's, naming both.
      OSError: if the file cannot be read.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        state = dict(np.load(path)) if path.suffix == ".npz" else _read(path)[0]
    else:
        state = {name: np.asarray(value) for name, value in source.items()}
    weights = [name for name, value in state.items() if name.endswith("weight") and np.ndim(value) in (2, 4)]
    _, params, _ = functionalize(model)
    connections = [c for c in model.connections() if c.weighted]
    if len(weights) != len(connections):
        raise ValueError(
            f"the state dict has {len(weights)} weights ({', '.join(weights)}), the network {len(connections)} "
            f"({', '.join(c.name for c in connections)}): they must be the same layers in the same order"
        )
    flat = {"/".join(path): value for path, value in flatten_dict(params).items()}
    for name, c in zip(weights, connections, strict=True):
        weight, bias = state[name], state.get(f"{name.removesuffix('weight')}bias")
        kernel = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else _rows(weight.T, c.behind.input_shape)
        if kernel.shape != c.kernel:
            raise ValueError(
                f"{name} is {list(weight.shape)}, which as a kernel is {list(kernel.shape)}; {c.name} has "
                f"{list(c.kernel)}"
            )
        if (bias is not None) != (f"{c.name}/bias" in flat):
            there, here = ("a bias", "none") if bias is not None else ("no bias", "one")
            raise ValueError(f"{name} has {there}, {c.name} has {here}: build the network with bias={bias is not None}")
        for part, value in (("kernel", kernel), *((("bias", bias),) if bias is not None else ())):
            old = flat[f"{c.name}/{part}"]
            flat[f"{c.name}/{part}"] = np.asarray(value, old.dtype)
    made: Tree = unflatten_dict({tuple(name.split("/")): value for name, value in flat.items()})
    return made


def _rows(kernel: np.ndarray, shape: Shape) -> np.ndarray:
    """Rows of a dense kernel behind maps from C, H, W to H, W, C."""
    if len(shape) != 3 or len(kernel) != np.prod(shape):
        return kernel
    height, width, channels = shape
    return kernel.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(len(kernel), -1)


def _neurons(model: Network) -> dict[str, Any]:
    """Layer to the facts of its neurons that numbers do not tell."""
    found = {}
    for row in model.rows:
        if row.neurons:
            neuron = getattr(model, f"{row.name}/neurons").neuron
            cell = type(neuron.params).__name__.removesuffix("Params")
            options = {} if neuron.cell is None else dict(neuron.cell.options)
            found[row.name] = {"cell": cell, **options}
    return found


def _flat(params: Tree, model_state: Tree) -> list[tuple[str, str, Any]]:
    trees = (("params", params), ("model_state", model_state))
    return [(tree, "/".join(path), value) for tree, of in trees for path, value in flatten_dict(of).items()]


def _compare(path: Any, there: Mapping[str, Shape], here: Mapping[str, Shape]) -> None:
    for name in sorted({*there, *here}):
        if there.get(name) != here.get(name):
            raise ValueError(
                f"{path} does not fit the network: {name} is {there.get(name)} there, {here.get(name)} here"
            )


def _checked(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata as `save_weights` wrote them."""
    arrays, told = _read(path)
    if told.get("jaxsnn") != VERSION:
        raise ValueError(
            f"{path} holds no weights of this library in version {VERSION}: its metadata are {sorted(told)}"
        )
    if told.pop(DIGEST, "") != _digest(arrays, told):
        raise ValueError(f"{path} has been changed since it was written, its {DIGEST} differs: get it again")
    return arrays, told


def _digest(arrays: Mapping[str, np.ndarray], told: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {value.dtype} {value.shape}".encode() + value.tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safetensors.safe_open(path, "np") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys()}, stream.metadata() or {}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file, or a damaged one ({error})") from error
