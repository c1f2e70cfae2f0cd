"""The benchmark: ratios of a node to baselines of the same run. `python -m loadtest.bench`; fails no build by a figure.

Server and generator have a core each where there are two; all runs are repeated in turn and their medians told, as the
machine's speed drifts. It works in a folder of its own below the system's temporary folder and removes it.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loadtest.report import Report
from loadtest.sections import SECTIONS
from loadtest.stage import FULL, QUICK, Stage
from loadtest.targets import judge


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the chosen sections, all by default."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="small counts: shows that it runs, not how fast")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no section is called {', '.join(unknown)}")
    report = Report()
    sizes = QUICK if chosen.quick else FULL
    report.say(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores; {sizes}")
    with (
        tempfile.TemporaryDirectory(prefix="hnode-bench-", dir=chosen.folder) as folder,
        Stage(Path(folder), sizes, report) as stage,
    ):
        for name, section in SECTIONS.items():
            if not chosen.sections or name in chosen.sections:
                report.section(f"{name}: {section.__doc__}")
                section(stage)
    report.section("targets of the issue" + (" (quick: the figures mean nothing)" if chosen.quick else ""))
    judge(report)
    report.finish()


if __name__ == "__main__":
    main()
