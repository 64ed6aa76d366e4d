"""What the documents say: their code runs, their links lead somewhere, docstring examples give what they show."""

import doctest
import importlib.util
import re
from pathlib import Path

import jax
import pytest

import jaxsnn
from experiments import presets
from jaxsnn.lab.ablate import questions
from jaxsnn.lab.config import FIELDS

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    p
    for where in ("*.md", "docs/**/*.md", "experiments/*.md", "benchmarks/*.md", "notebooks/*.md")
    for p in ROOT.glob(where)
)
MODULES = [
    "data.arrays",
    "surrogate",
    "cells.conformance",
    "models.functional",
    "models.connections",
    "models.membranes",
    "analysis.activity",
    "parallel.population",
    "parallel.fit",
]

ROOMS = (
    *("analysis", "cells", "conversion", "encoding", "lab", "layers", "losses", "models", "neurons", "parallel"),
    *("spikebp", "streaming", "synapses", "training", "viz"),
)
NAMES = re.compile(rf"(?<![\w./])(?:jaxsnn\.)?((?:{'|'.join(ROOMS)})(?:\.[A-Za-z_]\w*)+)")
OTHER_LIBRARIES = {"encoding.PoissonEncoder", "encoding.LatencyEncoder"}  # notebook 6
COMMANDS = [p for room in ("experiments", "benchmarks") for p in sorted(ROOT.glob(f"{room}/[a-z]*.py"))]
SCRIPTS = sorted(ROOT.glob("notebooks/*.py"))
TOLD = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which keeps the names of its day


def code(page):
    """The code of a page: its blocks, its indented lines, and what stands in backquotes."""
    text = page.read_text(encoding="utf-8").partition("<!-- results")[0]
    if page.suffix == ".py":
        text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.splitlines() if line[:1] == "#")
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    text = re.sub(r"```\w*\n.*?```", "", text, flags=re.DOTALL)
    lines = re.findall(r"^    \S.*$", text.replace("\\\n", " "), re.MULTILINE)
    return blocks + lines + [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def flags_of(module):
    """The flags that a command defines, read from its source; absl knows them only once it has run."""
    if module.startswith("benchmarks."):
        sources = [ROOT / "benchmarks/common.py", ROOT / "benchmarks/compare.py", *source(module)]
        return set(
            re.findall(r'add_argument\(\s*"--([\w-]+)"', "".join(p.read_text(encoding="utf-8") for p in sources))
        )
    text = "".join(p.read_text(encoding="utf-8") for p in source(module))
    if door := re.search(r"from (jaxsnn\.lab\S*) import .*main", text):
        return flags_of(door[1])
    found = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', text))
    if "define_run_flags()" in text:
        found |= {"run", "data", "data_dir", "cache_dir"}
    if "define_flags(" in text:
        found |= {"preset", "help", "helpfull", *FIELDS}
    if "define_process_flags()" in text:
        found |= {"coordinator", "num_processes", "process_id"}
    if "fields(Options)" in text:
        found |= set(re.findall(r"^    (\w+): \w+ = option\(", text, re.MULTILINE))
    return found


def source(module):
    path = ROOT / module.replace(".", "/")
    return sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def exists(name):
    """Whether there is, say, `layers.Conv` in jaxsnn."""
    thing, path = jaxsnn, "jaxsnn"
    for part in name.split("."):
        path += f".{part}"
        if not hasattr(thing, part) and importlib.util.find_spec(path) is None:
            return False
        thing = getattr(thing, part) if hasattr(thing, part) else importlib.import_module(path)
    return True


def test_the_readmes_examples_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    names: dict = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in blocks:
            exec(block, names)
    assert "(100, 8)" in capsys.readouterr().out
    assert set(names["gradients"]) == {"conv1", "conv2", "fc1", "fc2"}


def test_the_example_of_recordings_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/data.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(block, names)
    assert names["frames"].shape == (10, 34, 34, 2)
    assert names["frames"].sum() == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#]+)#?([^)]*)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)", (page.parent / target).read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings], anchor


@pytest.mark.parametrize("page", [*TOLD, *SCRIPTS], ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_flags_and_names_exist(page):
    every = set().union(*(flags_of(f"{p.parent.name}.{p.stem}") for p in COMMANDS))
    for text in code(page):
        commands = re.split(r"python -m (?=(?:experiments|jaxsnn\.lab|benchmarks)\.\w)", text)
        for command in commands[1:]:
            module = re.match(r"[\w.]+\w", command)[0]
            assert any(p.exists() for p in source(module)), f"no command {module}"
            check_flags(command, flags_of(module), module)
        if commands[0].startswith("--"):
            check_flags(commands[0], every, "any command")
        for name in NAMES.findall(text):
            assert name in OTHER_LIBRARIES or Path(name).suffix in (".py", ".json", ".png") or exists(name), name
        if re.fullmatch(r"[\w/]+\.(py|md)", text):
            assert (ROOT / text).exists() or (ROOT / "jaxsnn" / text).exists(), text


def check_flags(command, known, module):
    values = presets() | questions.PRESETS
    for flag, value in re.findall(r"(?<!\S)--(\w[\w-]*)(?:=([\w,]+))?", command):
        assert {flag, flag.removeprefix("no").removeprefix("-")} & known, f"--{flag} is no flag of {module}"
        if value and flag == "preset":
            assert value in values, command
        elif value and flag in FIELDS and (choices := FIELDS[flag].metadata["choices"]):
            assert set(value.split(",")) <= {*choices, "rising"}, command  # which docs/adding.md adds


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    result = doctest.testmod(importlib.import_module(f"jaxsnn.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_one_version():
    assert f'version = "{jaxsnn.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
