"""Checkpoints of a run by orbax: the last one and the best one, whole or not at all."""

import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as orbax

SELECT = "validation_accuracy"
"""The best checkpoint is the latest with the largest value of this metric; the test set is never used to choose."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read, or does not belong to this run."""


def _flatten(tree: Any) -> dict[str, Any]:
    """Leaves by path, e.g. `params.conv1.kernel`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _describe(flat: dict[str, Any]) -> dict[str, str]:
    return {name: f"{x.dtype}{list(x.shape)}" for name, x in flat.items()}


def _checksum(flat: dict[str, Any]) -> int:
    value = 0
    for name in sorted(flat):
        value = zlib.crc32(np.ascontiguousarray(flat[name]).tobytes(), value)
    return value


class Checkpoints:
    """The checkpoints below one folder, named by step number.

    Orbax writes a checkpoint beside its final name and renames it when it is complete, so a run that is killed at any
    moment leaves the earlier ones whole. A checksum of all numbers is stored with them.

    Args:
      folder: made if need be.
      reading: leaves the folder as it is, also what a run that goes on is just writing there.

    Raises:
      CheckpointError: when reading, if there is no folder.
    """

    def __init__(self, folder: Path, *, reading: bool = False):
        keep = orbax.training.preservation_policies
        best = keep.BestN(get_metric_fn=lambda metrics: metrics[SELECT], n=1, keep_checkpoints_without_metrics=False)
        self.folder = Path(folder).absolute()
        if reading and not self.folder.is_dir():
            raise CheckpointError(f"no checkpoint in {self.folder}: there is no such folder")
        self._manager = orbax.training.Checkpointer(
            self.folder,
            preservation_policy=keep.AnyPreservationPolicy([keep.LatestN(1), best]),
            cleanup_tmp_directories=not reading,
        )

    def close(self) -> None:
        """Waits for writes under way and lets go of the folder."""
        self._manager.close()

    def steps(self) -> list[int]:
        """Step numbers of the complete checkpoints, ascending."""
        return [checkpoint.step for checkpoint in self._manager.checkpoints]

    def save(self, step: int, tree: Any, metrics: dict[str, float] | None = None) -> None:
        """Writes one checkpoint; `metrics` with `validation_accuracy` makes it a candidate for the best one."""
        flat = _flatten(jax.device_get(tree))
        facts = {"arrays": _describe(flat), "checksum": _checksum(flat)}
        self._manager.save(step, flat, metrics=metrics, custom_metadata=facts, overwrite=True)

    def load(self, template: Any, step: int | None = None) -> Any:
        """Reads a checkpoint into the structure, shapes and dtypes of `template`, onto its devices.

        Args:
          template: a pytree of jax arrays like the one that was saved.
          step: which one; None for the last.

        Raises:
          CheckpointError: if there is none, it is damaged, or it holds another architecture.
        """
        steps = self.steps()
        if not steps:
            raise CheckpointError(
                f"no checkpoint in {self.folder}: nothing was saved there yet; start without --resume"
            )
        step = steps[-1] if step is None else step
        if step not in steps:
            raise CheckpointError(f"no checkpoint of step {step} in {self.folder}: there are {steps}")
        path = self.folder / str(step)
        flat = _flatten(template)
        abstract = {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding) for name, x in flat.items()}
        try:
            facts = self._manager.metadata(step).custom_metadata
            stored, checksum = facts["arrays"], facts["checksum"]
        except Exception as error:
            raise self._damaged(path, steps) from error
        if stored != _describe(flat):
            raise CheckpointError(
                f"{path} holds another architecture than this run's:\n{_difference(stored, _describe(flat))}"
            )
        try:
            loaded = self._manager.load(step, abstract)
        except Exception as error:
            raise self._damaged(path, steps) from error
        if _checksum(loaded) != checksum:
            raise self._damaged(path, steps)
        return jax.tree.unflatten(jax.tree.structure(template), [loaded[name] for name in flat])

    def _damaged(self, path: Path, steps: list[int]) -> CheckpointError:
        others = [s for s in steps if str(s) != path.name]
        way_out = f"the checkpoint of step {others[-1]} is still there" if others else "there is no other; start anew"
        return CheckpointError(
            f"checkpoint {path} is damaged (truncated or altered). Move it away and resume: {way_out}"
        )


def _difference(stored: dict[str, str], wanted: dict[str, str]) -> str:
    lines = [
        f"  {name}: checkpoint {stored.get(name, 'has none')}, this run {wanted.get(name, 'has none')}"
        for name in sorted(stored.keys() | wanted.keys())
        if stored.get(name) != wanted.get(name)
    ]
    more = f"\n  ... and {len(lines) - 6} more" if len(lines) > 6 else ""
    return "\n".join(lines[:6]) + more + "\nResume with the flags of the first run, or choose another --run_dir"
