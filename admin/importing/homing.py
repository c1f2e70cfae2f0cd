"""Which rows are served here, and which prefixes an import is to home. Remembers what it was asked; reads no store."""

from admin.errors import Failure
from admin.importing.rows import RowFault, quoted
from admin.prefixes import checked_prefix
from protocol.identifier import ROOT_PREFIX_HANDLE, folded, is_prefix_handle, prefix_handle, split
from resolver.authority import is_served


class Homing:
    """The prefixes that are homed, those of the run included. `homed` are folded prefix handles.

    With `home_prefixes` a row under a foreign prefix homes it; without, such a row is refused.
    """

    def __init__(self, homed: frozenset[bytes], *, home_prefixes: bool) -> None:
        self._homed = set(homed)
        self._home_prefixes = home_prefixes
        self._served: set[bytes] = set()  # Prefixes as rows spell them: bounded by the homed prefixes and their cases.
        self.new: list[bytes] = []  # The prefix handles that rows ask to home.

    def admit(self, handle: bytes) -> None:
        """Accept a handle that is served here, or whose prefix is homed now; else a `RowFault` that names the mend."""
        prefix = split(handle)[0]
        if prefix in self._served:
            return
        if is_prefix_handle(handle):  # Each of these is a prefix of its own: there is no common answer to keep.
            if not is_served(handle, self._homed):
                self._home(folded(handle), handle)
            return
        if not is_served(handle, self._homed):
            self._home(prefix_handle(handle), prefix)
        self._served.add(prefix)

    def _home(self, name: bytes, shown: bytes) -> None:
        prefix = shown.decode(errors="replace")
        if not self._home_prefixes:
            mend = f"add --home-prefixes, or run: hnode prefix home {prefix}"
            raise RowFault(f"prefix {quoted(prefix)} is not homed here: {mend}", "handle")
        if name == ROOT_PREFIX_HANDLE:
            mend = f"run: hnode prefix home {prefix}"
            raise RowFault(f"a file does not make this node the root of all prefixes: {mend}", "handle")
        try:
            checked_prefix(name.partition(b"/")[2].decode(errors="replace"))
        except Failure as failure:  # The rule of `init` and `prefix home`.
            raise RowFault(str(failure), "handle") from None
        self._homed.add(name)
        self.new.append(name)
