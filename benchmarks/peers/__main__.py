"""Is a train step of ours faster, and smaller, than that of other libraries?

    make peers                                   # once: the environment of the other libraries, .venv-peers
    python -m benchmarks.peers --workload=W1 --ours=chunk0,chunk5 --malloc=tuned
    python -m benchmarks.peers --workload=W2 --libraries=spikingjelly,norse:compiled=true

Every library runs in its own process, all on the same cores and the same input (float32, random spikes of rate 0.3), in
its own idiom (see the files beside this one), interleaved step by step: forward, backward, SGD, squared error of the
readout's last potential. Prints the median and spread in milliseconds, how many times our step that is, and the same of
the process peak; appends a JSON line per library to benchmarks/results/<device>/peers.jsonl. A library that fails
leaves a row that says so.
"""

from benchmarks import compare, workloads
from benchmarks.workers import Subject

SLOW = ("spyx", "jaxpike")


def ours(names: str, rule: str) -> list[Subject]:
    """`chunk0,chunk5-bits` to one subject per number of steps in a chunk and way to keep spikes."""
    subjects = []
    for name in names.split(","):
        chunk, _, kept = name.removeprefix("chunk").partition("-")
        subjects.append(Subject("ours", {"rule": f"{rule}-{kept}" if kept else rule, "time_chunk": int(chunk)}))
    return subjects


def main() -> None:
    """Measures, prints, and appends to the results."""
    parser = compare.parser(__doc__, workloads.NETWORKS)
    parser.add_argument(
        "--ours",
        default="chunk0",
        help="our configurations: chunk<steps per chunk>, chunk0 for all; -bits packs spikes",
    )
    parser.add_argument("--rule", default="spikebp", choices=("spikebp", "arctan"), help="our gradient")
    parser.add_argument("--libraries", default="spikingjelly,snntorch,norse,spyx,jaxpike", help="name[:option=value]")
    flags = parser.parse_args()
    others = compare.subjects(flags.libraries, flags.python, SLOW)
    compare.run("peers", ours(flags.ours, flags.rule), others, flags)


if __name__ == "__main__":
    main()
