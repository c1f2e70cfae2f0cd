"""The sample data that the project ships: a liquor's way from grain to bottle, for demonstrations. Prints nothing."""

from pathlib import Path
from typing import Final

from admin.errors import Failure
from admin.importing.runner import ImportOptions, import_file
from admin.importing.sinks import BulkStore

SAMPLE_PREFIX: Final = "88.608.24061301"
"""Every record of the sample stands under it."""

SAMPLE_HANDLE: Final = "88.608.24061301/BTL001"
TEMPLATES: Final = "templates.json"
WHO: Final = "sample"


def sample_folder() -> Path:
    """Where the files are: beside the package where it was installed, in `deploy/` in a checkout."""
    admin = Path(__file__).parent.parent
    for folder in (admin / "sample" / "liquor", admin.parent / "deploy" / "sample" / "liquor"):
        if folder.is_dir():
            return folder
    raise Failure("the sample data is missing", f"it belongs into {folder}", "install hnode anew")


def load_sample(store: BulkStore) -> int:
    """Import every file of the sample; the number of records. Its prefix must be homed."""
    folder = sample_folder()
    options = ImportOptions(template=folder / TEMPLATES, who=WHO)
    records = 0
    for path in sorted(folder.glob("*.csv")):
        summary = import_file(store, path, options)
        if summary.failed or summary.fault:
            why = summary.fault or str(summary.errors[0])
            raise Failure(f"{path} cannot be imported", why, "install hnode anew")
        records += summary.rows
    return records
