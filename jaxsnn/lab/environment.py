"""The environment of a result: device, versions, commit, date and command."""

import hashlib
import importlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

import jaxsnn

PACKAGE = Path(jaxsnn.__file__).resolve().parent


def check_figures() -> None:
    """Checks that figures can be drawn, before the work that they are to show.

    Raises:
      ImportError: if matplotlib is missing, saying how to install it.
    """
    try:
        importlib.import_module("jaxsnn.viz")
    except ImportError as error:
        raise ImportError(f"{error}, or run with --nofigures") from error


def environment() -> dict[str, Any]:
    """Device, versions, commit, date and command, which belong to every stated number."""
    return {
        "command": "python -m " + " ".join([_program(), *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind} ({jax.default_backend()})",
        "python": platform.python_version(),
        "versions": versions(),
    }


def portable(command: str) -> str:
    """A command without the places of one machine: `--data_dir=...`."""
    return re.sub(r"(--\w+=)(?:/|~|[A-Za-z]:)\S*", r"\1...", command)


def versions() -> dict[str, str]:
    """Versions of jaxsnn and of the packages that compute for it."""
    installed = {"jaxsnn": jaxsnn.__version__}
    for package in ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"):
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            installed[package] = "unknown"
    return installed


def commit() -> str:
    """The commit of jaxsnn's repository; "unknown" if it is installed, perhaps inside of another repository."""
    try:
        git = ["git", "-C", str(PACKAGE)]
        options: dict[str, Any] = {"capture_output": True, "check": True}
        top = os.fsdecode(subprocess.run([*git, "rev-parse", "--show-toplevel"], **options).stdout).strip()
        if Path(top).resolve() != PACKAGE.parent:
            return "unknown"
        described = subprocess.run([*git, "describe", "--always", "--dirty"], **options).stdout
        return os.fsdecode(described).strip() or "unknown"
    except (OSError, subprocess.CalledProcessError):  # no git on this machine, or no repository
        return "unknown"


def _program() -> str:
    """The module that `python -m` runs, as it is named on the command line."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return Path(sys.argv[0]).stem if spec is None else spec.name.removesuffix(".__main__")


def code() -> dict[str, str]:
    """The code that all processes of a run must share: versions, and digests of the sources and the running module."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\n".encode() + path.read_bytes())
    main = getattr(sys.modules["__main__"], "__file__", None)
    script = hashlib.sha256(Path(main).read_bytes()).hexdigest() if main and Path(main).is_file() else ""
    named = {f"version of {name}": version for name, version in versions().items()}
    return {"version of python": platform.python_version(), **named, "jaxsnn": digest.hexdigest(), "program": script}
