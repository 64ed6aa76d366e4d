"""What `pip install` puts in place: one package, whole, that trains the digits without a checkout."""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from jaxsnn.data import load

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


CLASSIFIES = """
from jaxsnn import pretrained
net = pretrained.load("digits_lenet")
print(net.predict(image)[0].name)
"""


@pytest.mark.thorough
def test_three_lines_classify_an_image_where_only_the_wheel_is(tmp_path):
    source, site, empty = tmp_path / "source", tmp_path / "site", tmp_path / "empty"
    shutil.copytree(ROOT / "jaxsnn", source / "jaxsnn", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={tmp_path}", str(source)]
    subprocess.run(build, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", f"--target={site}", str(wheel)], capture_output=True, check=True)
    one = load("digits").test.samples[0]
    np.save(tmp_path / "image.npy", one)
    given = f"import numpy as np; image = np.load({str(tmp_path / 'image.npy')!r})"
    environment = os.environ | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", f"{given}{CLASSIFIES}import jaxsnn; print(jaxsnn.__file__)"]
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer, where = done.stdout.split()
    assert Path(where).is_relative_to(site)
    assert list(empty.iterdir()) == []
    assert answer == str(load("digits").test.labels[0])
