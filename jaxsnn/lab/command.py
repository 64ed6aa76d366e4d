"""The command line of every experiment: flags of a configuration, and errors that are meant to be read."""

import dataclasses
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
from absl import app, flags, logging

from jaxsnn import parallel, startup, training
from jaxsnn.data.arrays import OWN
from jaxsnn.lab.config import FIELDS, GROUPS, Config
from jaxsnn.lab.options import kind
from jaxsnn.lab.own import suited

EXPECTED = (ValueError, TypeError, OSError, ImportError, training.CheckpointError, training.NonFiniteLoss)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Ends the program with a message, and no traceback, for errors of use; at once if it is one of many processes."""
    try:
        yield
    except training.Interrupted as stopped:
        print(f"{stopped}; go on with --resume", file=sys.stderr)
        sys.exit(startup.STOPPED)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        parallel.leave(startup.STOPPED)
    except Exception as error:
        several = jax.distributed.is_initialized()
        if isinstance(error, EXPECTED) and (isinstance(error, OSError | ImportError) or _ours(error)):
            print(f"error: {error}", file=sys.stderr)
        elif several and parallel.is_loss(error):
            print(f"error: {parallel.describe_loss(error)} (--resume)", file=sys.stderr)
        elif several:
            traceback.print_exc()
        else:
            raise
        if several:
            parallel.leave(1)
        sys.exit(1)


def _ours(error: BaseException) -> bool:
    """Whether an error was raised by this project's own checks: those are meant to be read without a traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    name = trace.tb_frame.f_globals.get("__name__", "")
    return name.split(".")[0] in ("jaxsnn", "experiments", "__main__")  # the last is what `python -m` runs


def command(body: Callable[..., None], *, stopped: str = "stopped", arguments: bool = False) -> None:
    """Parses the flags that are defined and runs `body`; errors of use end with a message, not a traceback.

    Args:
      body: the work; with `arguments` it takes those that are no flags, a list of strings.
      stopped: the message when Ctrl-C or SIGTERM ends it.
    """
    startup.begin(stopped)

    def run(argv: list[str]) -> None:
        if len(argv) > 1 and not arguments:
            raise app.UsageError(f"unexpected argument {argv[1]!r}: options are written --name=value")
        logging.set_verbosity(logging.WARNING)  # orbax tells every step of a checkpoint
        with readable_errors():
            body(*([argv[1:]] if arguments else []))

    app.run(run)


def define_run_flags() -> None:
    """Defines the flags of commands that look at a finished run: its folder, and where the data is now."""
    module = sys.argv[0]  # absl lists the flags of this "module" under --help
    flags.DEFINE_string("run", None, "Folder of the run.", required=True, module_name=module)
    for name, what in (("data_dir", "the data"), ("cache_dir", "decoded data sets")):
        flags.DEFINE_string(name, "", f"Folder of {what}; empty for your own default.", module_name=module)
    flags.DEFINE_alias("data", "data_dir", module_name=module)  # of a run on one's own data


Presets = dict[str, Callable[[], Config]]


def define_flags(presets: Presets) -> None:
    """Defines `--preset` (the first is the default) and one flag per field of `Config`, in groups."""
    names = list(presets)
    default = presets[names[0]]().flat()
    what = "; ".join(f"{name}: {(make.__doc__ or '').splitlines()[0]}" for name, make in presets.items())
    flags.DEFINE_enum(
        "preset",
        names[0],
        names,
        f"Where all other values come from; those of {names[0]} are shown in brackets. {what}",
        module_name=sys.argv[0],
    )
    for group, options in GROUPS.items():
        for f in dataclasses.fields(options):
            value = default[f.name]
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            text = f"{f.metadata['help']} [{'none' if shown in ('', None) else shown}]"
            define_flag(f, None, text, module_name=group)
            if f.metadata["common"]:
                flags.FLAGS.register_key_flag_for_module(_common(group), flags.FLAGS[f.name])
    app.define_help_flags()
    flags.DEFINE_flag(_Help())


def define_flag(f: dataclasses.Field, default: Any, text: str, **module: Any) -> None:
    """Defines the flag of one field of a dataclass of options."""
    element, several, _ = kind(f)
    if several:
        flags.DEFINE_list(f.name, default, text + " Comma-separated.", **module)
    elif f.metadata["choices"]:
        flags.DEFINE_enum(f.name, default, list(f.metadata["choices"]), text, **module)
    else:
        define: dict[type, Any] = {bool: flags.DEFINE_boolean, int: flags.DEFINE_integer, float: flags.DEFINE_float}
        define.get(element, flags.DEFINE_string)(f.name, default, text, **module)


def _common(group: str) -> str:
    """The module under which absl lists the common flags of a group."""
    return f"{group} (all of them: --helpfull)"


class _Help(app.HelpFlag):
    """`--help`: the command's own flags, and the common ones of every group; absl knows one module alone."""

    def __init__(self) -> None:
        super().__init__()
        self.allow_override = True  # it takes the place of absl's

    def parse(self, arg: Any) -> None:
        if self._parse(arg):
            modules = (sys.argv[0], *map(_common, GROUPS))
            print(sys.modules["__main__"].__doc__)
            print("flags:", *(flags.FLAGS.module_help(module) for module in modules), sep="\n")
            print("\nTry --helpfull to get a list of all flags.")
            sys.exit(0)


def from_flags(presets: Presets) -> Config:
    """The preset's configuration with every field that was given on the command line.

    Raises:
      ValueError: if a value is out of range, or a list has an element of the wrong type.
    """
    values = flags.FLAGS.flag_values_dict()
    given = {name: _listed(f, values[name]) for name, f in FIELDS.items() if values[name] is not None}
    config = presets[values["preset"]]()
    if config.data.dataset == OWN and given.get("dataset", OWN) == OWN:
        config = suited(config.replace(**{name: given[name] for name in ("data", "size") if name in given}))
    return config.replace(**given)


def _listed(f: dataclasses.Field, value: Any) -> Any:
    """The flag's value; of a list, absl keeps strings."""
    element, several, _ = kind(f)
    if not several:
        return value
    try:
        return tuple(element(entry) for entry in value if entry != "")
    except ValueError as error:
        raise ValueError(f"--{f.name} takes a comma-separated list of {element.__name__}, got {value}") from error
