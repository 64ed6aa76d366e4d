"""What `pip install` puts in place: one package, whole, that trains the digits without a checkout."""

import fnmatch
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def test_one_package_with_all_its_files():
    patterns = SETUP["packages"]["find"]["include"]
    modules = [path.parent for path in ROOT.glob("*/*.py")]
    assert {path.name for path in modules if any(fnmatch.fnmatch(path.name, p) for p in patterns)} == {"jaxsnn"}
    files = [path for path in (ROOT / "jaxsnn").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    missing = {path.parent for path in files if path.suffix == ".py" and not (path.parent / "__init__.py").exists()}
    assert not missing  # setuptools would leave these folders out
    data = {str(path.relative_to(ROOT / "jaxsnn")) for path in files if path.suffix not in (".py", ".pyc")}
    named = SETUP["package-data"]["jaxsnn"]
    assert {"py.typed", "lab/report/page.html"} <= data
    assert [name for name in data if not any(fnmatch.fnmatch(name, p) for p in named)] == []


@pytest.mark.thorough
def test_an_installation_trains_the_digits_wherever_it_is_called(tmp_path):
    """Only the package is there, and a folder `experiments` of the user's own."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "jaxsnn").symlink_to(ROOT / "jaxsnn")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").write_text("raise SystemExit('not these')", encoding="utf-8")
    flags = [
        "--epochs=1",
        "--seeds=1",
        "--time_steps=2",
        "--limit=16",
        "--limit_test=16",
        "--width=0.1",
        "--noactivity",
    ]
    command = [sys.executable, "-m", "jaxsnn.lab.digits", *flags, "--nofigures", "--noprogress"]
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "runs" / "digits" / "results.json").read_text(encoding="utf-8"))
    assert len(results["runs"]) == 1
