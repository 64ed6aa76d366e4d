"""Recipes, each a module with `PRESETS`, and doors to the commands of `jaxsnn.lab`."""

import importlib
import pkgutil

from jaxsnn.lab.command import Presets


def presets() -> Presets:
    """The presets of every recipe in this folder, by name; the digits come first."""
    names = sorted(
        (module.name for module in pkgutil.iter_modules(__path__)), key=lambda name: (name != "digits", name)
    )
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names if name != "sweep"]
    return {name: make for module in modules for name, make in getattr(module, "PRESETS", {}).items()}
