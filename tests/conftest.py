"""Strict numerics for every test: no silent rank or dtype promotion; warnings are errors (pyproject.toml)."""

import gc
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

# Most of the tests' time is LLVM's, for programs that run for milliseconds: unoptimised, by XLA's older emitters where
# there are any and one module per program, it is a quarter. `make slow` optimises as users' runs do.
# (Not with a GPU: unoptimised, XLA of jax 0.11.2 made wrong float64 gradients on an H200; optimised, right ones.)
if not Path("/dev/nvidiactl").exists():
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    if int(version("jaxlib").split(".")[1]) < 11:  # later ones end the process at a flag that they do not know
        flags += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ.setdefault("XLA_FLAGS", flags)

# Most programs are compiled by several tests, workers and child processes: they share what was compiled, by a folder.
CACHE = Path(os.environ.setdefault("JAXSNN_TEST_CACHE", str(Path(tempfile.gettempdir()) / "jaxsnn-test-programs")))
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax  # noqa: E402  (the variables above must be set first)
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


def pytest_collection_finish():
    """Spares the garbage collector all that has been imported, which it would walk again and again."""
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture
def x64():
    """Float64 for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def prepared_data() -> Path:
    """A folder that holds `tfds/` with prepared real data; the test is skipped where there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("JAXSNN_TEST_DATA", beside))
    if not (folder / "tfds").is_dir():
        pytest.skip("no prepared real data: set JAXSNN_TEST_DATA to a folder that holds tfds/")
    return folder
