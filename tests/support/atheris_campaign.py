"""A coverage-guided campaign over all readers: `python -m tests.support.atheris_campaign -runs=2000000 CORPUS`.

Atheris is no dependency of the project: install it beside it for a run. The first octet of an input chooses the reader.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["protocol"]):
    from tests.support.fuzzing import TARGETS, seeds, tried

NAMES = tuple(TARGETS)


def one(octets: bytes) -> None:
    """One input."""
    if octets:
        tried(NAMES[octets[0] % len(NAMES)], octets[1:])


def main() -> None:
    """Write the captures as the first corpus into the folder named last, then run."""
    corpus = Path(sys.argv[-1])
    corpus.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(NAMES):
        for place, octets in enumerate(seeds(name)[:8]):
            (corpus / f"{number}-{place}").write_bytes(bytes((number,)) + octets)
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
