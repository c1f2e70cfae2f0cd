"""Our four top-level names are general words: nobody else here may own one, and the wheel holds just them."""

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMES = {"protocol", "storage", "resolver", "admin"}


def test_no_other_distribution_owns_one_of_our_names() -> None:
    owners = metadata.packages_distributions()
    assert {name: set(owners.get(name, [])) - {"hnode"} for name in NAMES} == {name: set() for name in NAMES}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_is_imported_from_here(name: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", f"import {name}; print({name}.__file__)"],
        capture_output=True, text=True, check=True, cwd=ROOT.parent,
    ).stdout  # fmt: skip
    assert Path(found.strip()).parent == ROOT / name


def test_the_wheel_holds_our_packages_the_sample_and_no_tests(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("hnode-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == NAMES
    assert "admin/sample/liquor/bottle.csv" in names
    assert "admin/sample/liquor/README.md" in names
    (about,) = [name for name in names if name.endswith("METADATA")]
    assert "Private :: Do Not Upload" in zipfile.ZipFile(wheel).read(about).decode()
