"""Checkpoints of a run by orbax: the last one and the best one, whole or not at all."""

import errno
import json
import math
import os
import re
import shutil
import uuid
import warnings
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxsnn import files
from jaxsnn.training.arrays import read, write

SELECT = "validation_accuracy"
"""The best checkpoint is the latest with the largest value of this metric; the test set is never used to choose."""
UNDER_WAY = ".orbax-checkpoint-tmp"
"""Part of the names of folders that are being written or removed."""


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
    moment leaves the earlier ones whole. A checksum of all numbers is stored with them, and the metrics.

    Args:
      folder: made if need be.
      reading: leaves the folder as it is, also files that a running training is just writing there.

    Raises:
      ValueError: if `folder` is a remote address.
      CheckpointError: when reading, if there is no folder.
    """

    def __init__(self, folder: Path, *, reading: bool = False):
        self.folder = files.local(folder).absolute()
        if reading and not self.folder.is_dir():
            raise CheckpointError(f"no checkpoint in {self.folder}: there is no such folder")
        if not reading and jax.process_index() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in self.folder.glob(f"*{UNDER_WAY}*"):
                shutil.rmtree(path, ignore_errors=True)

    def steps(self) -> list[int]:
        """Step numbers of the complete checkpoints, ascending."""
        return [step for step in self._numbered() if _is_whole(self.folder / str(step))]

    def _numbered(self) -> list[int]:
        there = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(int(path.name) for path in there if re.fullmatch(r"0|[1-9][0-9]*", path.name))

    def save(self, step: int, tree: Any, metrics: dict[str, float] | None = None) -> None:
        """Writes one checkpoint; `metrics` with `validation_accuracy` makes it a candidate for the best one.

        Raises:
          OSError: if it cannot be written, with the system's number; the earlier ones are then as they were.
        """
        flat, path = _flatten(jax.device_get(tree)), self.folder / str(step)
        facts = {"arrays": _describe(flat), "checksum": _checksum(flat), "metrics": metrics or {}}
        flat = {name: np.asarray(x) for name, x in flat.items()}
        first = jax.process_index() == 0
        if first and path.exists():
            self._remove(step)
        try:
            _check_room(self.folder, flat)
            write(path, flat, facts)
        except Exception as error:
            if first:
                shutil.rmtree(f"{path}{UNDER_WAY}", ignore_errors=True)
            if isinstance(error, OSError):
                reason = error.strerror or error
                raise OSError(error.errno, f"{reason}: no checkpoint of step {step} in {self.folder}") from error
            raise
        if not _is_whole(path):
            raise CheckpointError(f"checkpoint {path} is not there after it was written: choose another folder")
        if first:
            files.sync_folder(self.folder)
            self._keep_last_and_best()

    def _keep_last_and_best(self) -> None:
        """Removes the other checkpoints, but none whose metrics cannot be read: it may be the best one."""
        scores = {step: self._score(step) for step in self.steps()}
        known = [(score, step) for step, score in scores.items() if score is not None and not math.isnan(score)]
        keep = {max(scores), *(step for _, step in [max(known)] if known)} if known else {max(scores)}
        for step, score in scores.items():
            if step not in keep and (score is None or not math.isnan(score)):
                self._remove(step)

    def _score(self, step: int) -> float | None:
        """By which a checkpoint is chosen; None if it was saved without, NaN if that cannot be read."""
        path = self.folder / str(step)
        try:
            facts = _read_facts(path)
            if "metrics" not in facts and not (path / "metrics").exists():
                return None
            metrics = facts["metrics"] if "metrics" in facts else _json(path / "metrics" / "metrics")  # an earlier form
            return float(metrics[SELECT]) if SELECT in metrics else None
        except (OSError, ValueError, TypeError, KeyError) as error:
            warnings.warn(
                f"the metrics of checkpoint {path} cannot be read ({error!r}): it is kept, and counts as one without",
                RuntimeWarning,
                stacklevel=4,
            )
            return math.nan

    def _remove(self, step: int) -> None:
        """Removes a checkpoint at once as seen by others: the remains after a kill have another name."""
        path = self.folder / f"{step}{UNDER_WAY}-{uuid.uuid4().hex}"
        (self.folder / str(step)).rename(path)
        shutil.rmtree(path, ignore_errors=True)

    def load(self, template: Any, step: int | None = None) -> Any:
        """Reads a checkpoint into the structure, shapes and dtypes of `template`, onto its devices.

        Args:
          template: a pytree of jax arrays like the one that was saved.
          step: which one; None for the last.

        Raises:
          CheckpointError: if there is none, it is damaged, or it holds another architecture.
        """
        steps, numbered = self.steps(), self._numbered()
        if not numbered:
            raise CheckpointError(f"no checkpoint in {self.folder}: nothing was saved there yet")
        step = numbered[-1] if step is None else step  # a checkpoint with missing files is named, not passed over
        if step not in numbered:
            raise CheckpointError(f"no checkpoint of step {step} in {self.folder}: there are {steps}")
        path, flat = self.folder / str(step), _flatten(template)
        try:
            facts = _read_facts(path)
            stored, checksum = facts["arrays"], facts["checksum"]
        except Exception as error:
            raise self._damaged(path, steps) from error
        if stored != _describe(flat):
            raise CheckpointError(
                f"{path} holds another architecture than this run's:\n{_difference(stored, _describe(flat))}"
            )
        try:
            loaded = read(path, {name: np.empty(x.shape, x.dtype) for name, x in flat.items()})
        except Exception as error:
            raise self._damaged(path, steps) from error
        if _checksum(loaded) != checksum:
            raise self._damaged(path, steps)
        return jax.tree.unflatten(jax.tree.structure(template), [_like(x, loaded[name]) for name, x in flat.items()])

    def _damaged(self, path: Path, steps: list[int]) -> CheckpointError:
        others = [s for s in steps if str(s) != path.name]
        way_out = f"the checkpoint of step {others[-1]} is still there" if others else "there is no other; start anew"
        return CheckpointError(
            f"checkpoint {path} is damaged (truncated or altered). Move it away and resume: {way_out}"
        )


def _json(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object")
    return value


def _read_facts(path: Path) -> dict[str, Any]:
    """The facts that `save` stored beside the arrays; raises if they cannot be read."""
    facts = _json(path / "_CHECKPOINT_METADATA")["custom_metadata"]
    if not isinstance(facts, dict):
        raise ValueError("no facts are stored")
    return facts


def _is_whole(path: Path) -> bool:
    """Whether nothing is missing of a checkpoint; earlier versions removed them file by file, and may have been killed.

    One that cannot be read counts as whole here, so that loading it says that it is damaged.
    """
    state = path / "state"
    if not (path / "_CHECKPOINT_METADATA").is_file() or not (state / "_METADATA").is_file():
        return False
    try:
        names = list(_read_facts(path)["arrays"])
    except (OSError, ValueError, TypeError, KeyError):
        return True
    return (state / "manifest.ocdbt").is_file() or all((state / name / "zarr.json").is_file() for name in names)


def _like(template: Any, value: np.ndarray) -> Any:
    """The value where the template is: the same program then takes both, without being compiled again."""
    if not getattr(template, "committed", False):
        return jax.device_put(value)
    return jax.make_array_from_callback(value.shape, template.sharding, lambda index: value[index])


def _check_room(folder: Path, flat: dict[str, np.ndarray]) -> None:
    """Raises OSError if the disk is as good as full: orbax would find out in many threads at once."""
    if shutil.disk_usage(folder).free < sum(x.nbytes for x in flat.values()) // 2:  # it compresses
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _difference(stored: dict[str, str], wanted: dict[str, str]) -> str:
    lines = [
        f"  {name}: checkpoint {stored.get(name, 'has none')}, this run {wanted.get(name, 'has none')}"
        for name in sorted(stored.keys() | wanted.keys())
        if stored.get(name) != wanted.get(name)
    ]
    more = f"\n  ... and {len(lines) - 6} more" if len(lines) > 6 else ""
    return "\n".join(lines[:6]) + more + "\nLoad it into the network that was saved, or choose another folder"
