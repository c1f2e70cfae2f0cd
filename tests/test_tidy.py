"""What a test can check is not left to review: layers, purity, sizes, single importers, docstrings."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("admin", "resolver", "storage", "protocol")
"""A folder may import itself and what stands below it."""

PURE = {"asyncio", "socket", "time", "random", "secrets", "logging", "lmdb", "aiohttp", "uvloop", "os", "threading"}
"""What `protocol` never imports: it holds octets and values."""

ONE_IMPORTER = {
    # What lasts; what no restart needs; and what outlives one, but nothing that befalls the machine.
    "lmdb": ("storage/lmdb_store.py", "storage/volatile.py", "storage/answers.py"),
    "re2": ("protocol/computed/pattern.py",),
    "uvloop": ("admin/serve.py",),
}
CATCHERS = (
    "resolver/engine.py",  # What can be answered at once.
    "resolver/administration.py",  # What takes time or proof.
    "resolver/authentication.py",  # A key of a stranger that is none proves nothing.
    "resolver/finding.py",  # A name of a stranger that no handle has.
    "resolver/own.py",  # A name that a search comes to and that no handle has.
    "resolver/recursing.py",  # A secret's name that no handle has is nobody's to check.
    "resolver/key_exchange.py",  # All that a stranger can do wrong becomes one code.
)
"""Where an error of the protocol is caught, with the reason."""

TASK_OWNERS = (
    "resolver/tcp_server.py",
    "resolver/udp_server.py",
    "admin/keeper.py",
    "resolver/bootstrap/keeping.py",  # One, as long as its process lives.
)
"""Who makes tasks: a connection has one at most, a datagram server a bounded set; both end with their owner."""

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
CLOCKLESS = (
    "resolver/authority.py",
    "resolver/engine.py",
    "resolver/admission.py",
    "resolver/namespaces.py",
    "resolver/memory.py",
    "resolver/own.py",
    "resolver/silences.py",
    "resolver/cache/cache.py",
    "resolver/cache/kept.py",
    "resolver/cache/lifetimes.py",
    "resolver/cache/table.py",
)


@cache
def sources(*folders: str) -> tuple[tuple[Path, ast.Module], ...]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return tuple((path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))) for path in found)


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_four_layers_are_here() -> None:
    for layer in LAYERS:
        assert len(sources(layer)) > 3, layer


def test_imports_only_run_down() -> None:
    wrong = []
    for path, tree in sources(*LAYERS):
        rank = LAYERS.index(path.parts[0])
        for name in imported(tree):
            top = name.partition(".")[0]
            if (top in LAYERS and LAYERS.index(top) < rank) or top in ("tests", "loadtest", "deploy"):
                wrong.append(f"{path} imports {name}")
    assert not wrong


def test_load_generators_share_only_the_protocol() -> None:
    wrong = [
        f"{path} imports {name}"
        for path, tree in sources("loadtest")
        for name in imported(tree)
        if name.partition(".")[0] in ("admin", "resolver", "storage", "tests", "lmdb")
    ]
    assert not wrong


def test_the_protocol_is_pure() -> None:
    wrong = [
        f"{path} imports {name}"
        for path, tree in sources("protocol")
        for name in imported(tree)
        if name.partition(".")[0] in PURE
    ]
    assert not wrong


def test_each_engine_library_has_one_importer() -> None:
    wrong = [
        f"{path} imports {name}"
        for path, tree in sources(*LAYERS)
        for name in imported(tree)
        if str(path) not in ONE_IMPORTER.get(name.partition(".")[0], (str(path),))
    ]
    assert not wrong


def test_no_circle_of_imports() -> None:
    modules = {".".join(path.with_suffix("").parts): tree for path, tree in sources(*LAYERS)}
    edges = {name: {found for found in _top_level_imports(tree) if found in modules} for name, tree in modules.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join((*way[way.index(name) :], name))
        if name not in done:
            for below in edges[name]:
                visit(below, (*way, name))
            done.add(name)

    for name in modules:
        visit(name, ())


def _top_level_imports(tree: ast.Module) -> Iterator[str]:
    """Imports that run when the module is imported: not those within functions or for the type checker alone."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(ast.Module(body=[node], type_ignores=[]))


@pytest.mark.parametrize("path", [path for path, _ in sources(*LAYERS, "loadtest", "tests")], ids=str)
def test_a_file_is_no_longer_than_a_reader_can_hold(path: Path) -> None:
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert lines <= FILE_LINES_MAX


@pytest.mark.parametrize("path", [path for path, _ in sources(*LAYERS, "loadtest", "tests")], ids=str)
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long


def test_every_module_says_what_it_is() -> None:
    wrong = [str(path) for path, tree in sources(*LAYERS, "loadtest", "tests") if not ast.get_docstring(tree)]
    assert not wrong


def test_packages_hold_a_docstring_and_nothing_else() -> None:
    wrong = [str(path) for path, tree in sources(*LAYERS) if path.name == "__init__.py" and len(tree.body) != 1]
    assert not wrong


def test_response_codes_are_numbers_in_one_file() -> None:
    pattern = re.compile(r"code\s*(==|!=|in)\s*\(?\d")
    wrong = [
        f"{path}:{number}"
        for path, _ in sources("protocol", "resolver", "storage")
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not wrong


def test_an_error_of_the_protocol_becomes_a_code_in_one_place() -> None:
    wrong = [
        str(path)
        for path, tree in sources("resolver")
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and isinstance(node.type, ast.Name)
        and node.type.id == "HandleError"
        and str(path) not in CATCHERS
    ]
    assert not wrong


def test_the_core_never_asks_the_time() -> None:
    wrong = [
        f"{path} imports {name}"
        for path, tree in sources("resolver")
        if str(path) in CLOCKLESS
        for name in imported(tree)
        if name.partition(".")[0] in ("time", "datetime", "asyncio")
    ]
    assert not wrong


def test_no_task_is_made_without_an_owner() -> None:
    wrong = [
        f"{path}:{node.lineno}"
        for path, tree in sources(*LAYERS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("create_task", "ensure_future")
        and str(path) not in TASK_OWNERS
    ]
    assert not wrong


def test_nothing_names_a_place_of_one_machine_or_leaves_work_undone() -> None:
    places = ("/wo" + "rk/", "/ro" + "ot/", ".lib" + "rary", "TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error")
    files = [path for path, _ in sources(*LAYERS, "loadtest", "tests")]
    files += [Path(name) for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml")]
    wrong = [f"{path}: {place}" for path in files for place in places if place in (ROOT / path).read_text("utf-8")]
    assert not wrong
