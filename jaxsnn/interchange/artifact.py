"""A network as one file that runs with jax alone: `jax.export` programs for several platforms, weights inside.

The file is a zip archive of `whole` and `step`, serialised programs, and `facts.json`:

- `whole(x [T, B, ...]) -> evidence for each class after every step [T, B, classes]`, in evaluation;
- `step(state, x [1, B, ...]) -> (state, evidence [1, B, classes])`, for streams; `state` is a list of arrays, zeros at
  first, whose shapes are in the facts.

B is any number where the platforms' programs allow it, otherwise the `batch` that was asked for. How such a file is run
with jax and without this library: docs/equivalence.md. jax needs the package flatbuffers for it (extra `export`).
"""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from jax import export as jax_export

from jaxsnn import files
from jaxsnn.models import Network, functionalize
from jaxsnn.models.functional import filled
from jaxsnn.typing import Array

PLATFORMS = ("cpu", "cuda", "tpu")


def save_artifact(
    path: str | Path,
    model: Network,
    params: dict[str, Any],
    model_state: dict[str, Any],
    *,
    steps: int,
    batch: int = 1,
    platforms: Sequence[str] = PLATFORMS,
    **facts: Any,
) -> dict[str, Any]:
    """Writes a network as programs.

    Args:
      path: the file; written whole or not at all.
      model: from `models.create` or of your own.
      params, model_state: as of `functionalize`.
      steps: T of `whole`.
      batch: B where it cannot be any number.
      platforms: for which programs are made.
      facts: what else `facts.json` tells: values for JSON, e.g. class names, normalisation.

    Returns:
      The content of `facts.json`.

    Raises:
      ValueError: if `steps` or `batch` is not at least 1, or the network needs the whole train: then there is no step.
      ImportError: without flatbuffers.
      OSError: if the file cannot be written.
    """
    if steps < 1 or batch < 1:
        raise ValueError(f"an artifact needs steps >= 1 and batch >= 1, got {steps} and {batch}")
    apply, params, model_state = functionalize(filled(model, params, model_state))
    sample, dtype = model.input_shape, model.param_dtype
    rest = jax.eval_shape(
        lambda x: apply(params, model_state, x)[0].carry, jax.ShapeDtypeStruct((1, batch, *sample), dtype)
    )
    leaves, structure = jax.tree.flatten(rest)

    def whole(x: Array) -> Array:
        return apply(params, model_state, x)[0].answers

    def step(state: list[Array], x: Array) -> tuple[list[Array], Array]:
        output, _ = apply(params, model_state, x, carry=jax.tree.unflatten(structure, state))
        return jax.tree.leaves(output.carry), output.answers

    def spec(length: int, size: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((length, size, *sample), dtype)

    state = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
    any_batch = jax_export.symbolic_shape("b")[0]
    programs, sized = {}, True
    try:
        programs["whole"] = _program(whole, platforms, spec(steps, any_batch))
    except ImportError:
        raise
    except Exception:  # a program that divides its work by B says so in many ways
        sized = False
        programs["whole"] = _program(whole, platforms, spec(steps, batch))
    programs["step"] = _program(step, platforms, state, spec(1, batch))
    told = {
        "steps": steps,
        "batch": None if sized else batch,
        "step_batch": batch,
        "sample": list(sample),
        "dtype": str(dtype),
        "state": [{"shape": list(leaf.shape), "dtype": str(leaf.dtype)} for leaf in leaves],
        "platforms": list(platforms),
        "jax": jax.__version__,
        **facts,
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, program in programs.items():
            archive.writestr(name, program)
        archive.writestr("facts.json", json.dumps(told, indent=2))
    files.write_whole(Path(path), content.getvalue())
    return told


def _program(function: Callable[..., Any], platforms: Sequence[str], *arguments: Any) -> bytes:
    return bytes(jax_export.export(jax.jit(function), platforms=list(platforms))(*arguments).serialize())
