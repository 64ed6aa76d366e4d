"""Runs a program on eight fake devices, which takes a process of its own: jax counts its devices once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def run(program: str, *arguments: str) -> Any:
    """What the program prints as JSON in its last line."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    out = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    )
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout.splitlines()[-1])
