"""A network as one file runs with jax alone, in a process that cannot import this library."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import interchange, models, neurons

ALONE = """
import json, sys, zipfile
sys.modules["jaxsnn"] = None
import jax, jax.numpy as jnp, numpy as np
from jax import export

path, inputs = sys.argv[1:]
with zipfile.ZipFile(path) as archive:
    facts = json.loads(archive.read("facts.json"))
    whole, step = (export.deserialize(bytearray(archive.read(name))).call for name in ("whole", "step"))
x = jnp.asarray(np.load(inputs))
answers = whole(x)
state = [jnp.zeros(leaf["shape"], leaf["dtype"]) for leaf in facts["state"]]
streamed = []
for one in x:
    state, evidence = step(state, one[None])
    streamed.append(evidence[0])
print(json.dumps({"whole": answers.tolist(), "streamed": jnp.stack(streamed).tolist(), "classes": facts["classes"]}))
"""


@pytest.mark.parametrize("name", ["lenet", pytest.param("mlp", marks=pytest.mark.thorough)])
def test_it_runs_with_jax_alone(name, tmp_path):
    shape = (6,) if name == "mlp" else (8, 8, 1)
    options = {"input_shape": shape, "num_classes": 3, "neurons": neurons.lif(0.9), "init_gain": 3.0, "width": 0.2}
    model = models.create(name, readout="mean", rngs=nnx.Rngs(0), **options)
    apply, params, state = models.functionalize(model)
    file = tmp_path / "network.jaxsnn"
    facts = interchange.save_artifact(file, model, params, state, steps=4, batch=2, classes=["a", "b", "c"])
    assert facts["platforms"] == ["cpu", "cuda", "tpu"]
    x = jax.random.bernoulli(jax.random.key(0), 0.5, (4, 2, *shape)).astype(jnp.float32)
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-c", ALONE, str(file), str(tmp_path / "x.npy")]
    out = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )
    assert out.returncode == 0, out.stderr
    found = json.loads(out.stdout)
    expected = jax.jit(apply)(params, state, x)[0].answers
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found["whole"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["streamed"], expected, rtol=1e-5, atol=1e-6)
    assert found["classes"] == ["a", "b", "c"]


def test_bad_sizes(tmp_path):
    model = models.create("mlp", hidden=(3,), input_shape=(2,), num_classes=2, rngs=nnx.Rngs(0))
    _, params, state = models.functionalize(model)
    with pytest.raises(ValueError, match="needs steps >= 1 and batch >= 1, got 0 and 1"):
        interchange.save_artifact(tmp_path / "a", model, params, state, steps=0)
    assert not (tmp_path / "a").exists()
