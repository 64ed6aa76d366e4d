"""Is a train step of ours faster, and smaller, than that of other libraries?

    make peers                                   # once: the environment of the other libraries, .venv-peers
    python -m benchmarks.peers --workload=W1 --ours=chunk0,chunk5 --malloc=tuned
    python -m benchmarks.peers --workload=W2 --libraries=spikingjelly,norse:compiled=true
    python -m benchmarks.peers --workload=W4 --rule=arctan --ours=chunk0,chunk0-repeated

Every library runs in its own process, all on the same cores, with the same input and first weights (float32), in
its own idiom (see the files beside this one), interleaved step by step: forward, backward, SGD, squared error of the
readout's last potential. Prints the median and spread in milliseconds, how many times our step that is, and the same of
the process peak; appends a JSON line per library to benchmarks/results/<device>/peers.jsonl. A library that fails
leaves a row that says so.
"""

import re
from typing import Any

from benchmarks import compare, workloads
from benchmarks.workers import Subject

SLOW = ("spyx", "jaxpike")


def ours(names: str, rule: str) -> list[Subject]:
    """`chunk0,chunk5-bits,chunk0-repeated,chunk0-bf16,chunk0-micro16` to one subject each; see `--ours`.

    Raises:
      SystemExit: for a word that it does not know.
    """
    subjects = []
    for name in names.split(","):
        found = re.fullmatch(r"(?:chunk)?(\d+)((?:-(?:bits|repeated|bf16|micro\d+))*)", name)
        if not found:
            raise SystemExit(
                "--ours takes chunk<steps>[-bits][-repeated][-bf16][-micro<samples>], separated by commas, got "
                f"{name!r}"
            )
        chunk, words = found[1], found[2].split("-")
        micro = [int(word.removeprefix("micro")) for word in words if word.startswith("micro")]
        options: dict[str, Any] = {"rule": f"{rule}-bits" if "bits" in words else rule, "time_chunk": int(chunk)}
        options |= {"once": False} if "repeated" in words else {}
        options |= {"dtype": "bfloat16"} if "bf16" in words else {}
        options |= {"micro_batch": micro[0]} if micro else {}
        subjects.append(Subject("ours", options))
    return subjects


def main() -> None:
    """Measures, prints, and appends to the results."""
    parser = compare.parser(__doc__, workloads.NETWORKS)
    parser.add_argument(
        "--ours",
        default="chunk0",
        help="our configurations: chunk<steps per chunk>, chunk0 for all; -bits packs spikes; -repeated computes the "
        "first convolution of an image that is the same at every step T times (libraries: name:once=false); -bf16 "
        "rounds spikes and currents between layers (spikingjelly:dtype=bfloat16: by autocast); -micro<samples> takes "
        "so many samples of the batch at once (not with norms, which would see those alone)",
    )
    parser.add_argument("--rule", default="spikebp", choices=("spikebp", "arctan"), help="our gradient")
    parser.add_argument("--libraries", default="spikingjelly,snntorch,norse,spyx,jaxpike", help="name[:option=value]")
    flags = parser.parse_args()
    others = compare.subjects(flags.libraries, flags.python, SLOW)
    compare.run("peers", ours(flags.ours, flags.rule), others, flags)


if __name__ == "__main__":
    main()
