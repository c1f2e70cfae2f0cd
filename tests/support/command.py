"""Run `hnode` in this process, as the console script does, and keep what it wrote and how it ended."""

import contextlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from admin.cli import run


@dataclass(frozen=True, slots=True)
class Ended:
    """Exit code and both outputs of one run."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON value."""
        return json.loads(self.out)


def hnode(*arguments: object, environment: Mapping[str, str] | None = None) -> Ended:
    """One run. The locale is English unless the environment given says otherwise."""
    kept = dict(os.environ)
    out, err = io.StringIO(), io.StringIO()
    try:
        for name in [name for name in os.environ if name.startswith("HNODE_")]:
            del os.environ[name]
        os.environ.update({"LC_ALL": "C.UTF-8", "NO_COLOR": "1", **(environment or {})})
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([str(argument) for argument in arguments])
    finally:
        os.environ.clear()
        os.environ.update(kept)
    return Ended(code, out.getvalue(), err.getvalue())
