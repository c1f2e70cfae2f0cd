"""Template files: which index each named field of a record has. Checks no field's content.

Two forms are read: one JSON document `{"templates": [{"handle", "file", "items": [{"idIndex", "idType"}]}]}`, and JSON
lines (or one array) of the templates themselves, as the registry of the sector takes them.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from admin.importing.lines import BOM, opened
from admin.importing.rows import FileRefused, RowFault, checked_index, quoted

FILE_SIZE_MAX: Final = 64 * 1024 * 1024  # A registry's templates are a few MB.


@dataclass(frozen=True, slots=True)
class Template:
    """The index of each field by its name. `file` is the CSV file that it was made for, where it says one."""

    handle: str
    indexes: Mapping[str, int]
    file: str = ""


class Templates:
    """The templates of one file, found by handle, by file name, or by the columns that a header names."""

    def __init__(self, templates: Iterable[Template], *, source: str) -> None:
        self.source = source
        self._all = tuple(templates)
        self._by_handle = {template.handle.upper(): template for template in self._all}
        if len(self._by_handle) != len(self._all):
            raise FileRefused(f"{source}: two templates have one handle")

    def by_handle(self, handle: str) -> Template | None:
        """The template of that handle, in any case, or None."""
        return self._by_handle.get(handle.upper())

    def by_file(self, name: str) -> Template | None:
        """The one template made for a file of that name, or None."""
        found = [template for template in self._all if template.file == name]
        return found[0] if len(found) == 1 else None

    def covering(self, names: Collection[str]) -> Template:
        """The only template that has a field for every name; `RowFault` says which fit, or that none does."""
        found = [template for template in self._all if all(name in template.indexes for name in names)]
        if len(found) == 1:
            return found[0]
        how = "add a column `template` with a template's handle, or name the file as its template does (`file`)"
        if found:
            fits = ", ".join(template.handle for template in found[:5])
            raise RowFault(f"{len(found)} templates of {self.source} have these fields ({fits}): {how}")
        missing = self._best_misses(names)
        raise RowFault(f"no template of {self.source} has all these fields{missing}: {how}")

    def _best_misses(self, names: Collection[str]) -> str:
        if not self._all:
            return ""
        nearest = min(self._all, key=lambda template: sum(name not in template.indexes for name in names))
        missing = [name for name in names if name not in nearest.indexes]
        return f" (the nearest, {nearest.handle}, lacks {', '.join(map(quoted, missing[:5]))})"


def load_templates(path: Path) -> Templates:
    """The templates of a file; `FileRefused` names the line or the template at fault."""
    with opened(path) as file:
        octets = file.read(FILE_SIZE_MAX + 1)
    if len(octets) > FILE_SIZE_MAX:
        raise FileRefused(f"{path}: a template file of more than {FILE_SIZE_MAX:,} octets")
    try:
        text = octets.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise FileRefused(f"{path}: octet {error.start} is not UTF-8") from None
    found = [_template(item, f"{path}: template {number}") for number, item in enumerate(_items(text, path), 1)]
    if not found:
        raise FileRefused(f"{path} holds no template")
    return Templates(found, source=str(path.name))


def _items(text: str, path: Path) -> list[Any]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return _lines(text, path)
    if isinstance(whole, dict) and isinstance(whole.get("templates"), list):
        return list(whole["templates"])
    return whole if isinstance(whole, list) else [whole]


def _lines(text: str, path: Path) -> list[Any]:
    items = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                items.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise FileRefused(f"{path}, line {number}: not JSON ({error})") from None
    return items


def _template(item: Any, where: str) -> Template:
    if not isinstance(item, dict) or not isinstance(item.get("handle"), str) or not isinstance(item.get("items"), list):
        raise FileRefused(f"{where} needs `handle` and a list `items`")
    file = item.get("file")
    return Template(item["handle"], _indexes(item["items"], where), file if isinstance(file, str) else "")


def _indexes(items: list[Any], where: str) -> dict[str, int]:
    indexes: dict[str, int] = {}
    taken: set[int] = set()
    for item in items:
        name, index = (item.get("idType"), item.get("idIndex")) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or not name or type(index) is not int:
            raise FileRefused(f"{where}: every item needs a text `idType` and a number `idIndex`, not {quoted(item)}")
        try:
            checked_index(index)
        except RowFault as fault:
            raise FileRefused(f"{where}, item {quoted(name)}: {fault.reason}") from None
        if name in indexes or index in taken:
            raise FileRefused(f"{where}: {quoted(name)} or its index {index} stands twice")
        indexes[name] = index
        taken.add(index)
    return indexes
