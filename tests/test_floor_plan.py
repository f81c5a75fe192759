"""The floor plan is a test: who may import whom, what runs at import, and how big a room may grow."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
GROUND = {
    "disk",
    "line_items",
    "errors",
    "lifetimes_and_sizes",
    "numbers",
    "money",
    "periods",
    "model",
    "columns",
    "setting_values",
    "profiles",
    "settings",
}
ALLOWED = {
    "disk": set[str](),
    "errors": set[str](),
    "lifetimes_and_sizes": set[str](),
    "numbers": set[str](),
    "money": {"numbers"},
    "periods": {"errors"},
    "model": {"errors", "numbers", "periods"},
    "columns": {"model"},
    "setting_values": {"errors"},
    "profiles": {"errors", "model", "periods", "setting_values"},
    "settings": {"errors", "lifetimes_and_sizes", "profiles", "setting_values"},
    "line_items": {"columns", "errors", "numbers", "model"},
    "wire": GROUND - {"disk"},
    "storage": GROUND | {"wire"},
    "datasets": GROUND | {"wire", "storage"},
    "server": GROUND | {"wire", "storage"},
    "client": GROUND | {"wire"},
    "reconcile": GROUND | {"wire", "client"},
    "published_sides": GROUND | {"storage", "reconcile"},
    "generator": GROUND,
    "mirror": GROUND | {"datasets", "client"},
    "anonymizing": GROUND | {"datasets", "client", "generator"},
    "testing": GROUND | {"wire", "storage", "datasets", "server", "client", "generator"},
    "cli": GROUND
    | {"wire", "storage", "datasets", "server", "client", "reconcile", "generator", "mirror", "anonymizing", "testing"},
    "__init__": {"client", "errors", "model"},
    "__main__": {"cli"},
}
# The client's own rooms; those that are one module stand by its name. All stand on ground and wire.
IN_THE_CLIENT = {
    "protocol": set[str](),
    "receipt": {"protocol"},
    "output_files": {"protocol", "receipt"},
    "pull_folder": {"protocol", "receipt", "output_files"},
    "network": {"protocol"},
    "transfer": {"protocol", "receipt", "output_files", "pull_folder", "network"},
    "signing_certificate": set[str](),
    "credentials": {"protocol", "network", "transfer", "signing_certificate"},
    "client_options": {"protocol", "network", "transfer"},
    "api": {"protocol", "receipt", "output_files", "network", "transfer", "credentials", "client_options"},
    "async_api": {"protocol", "receipt", "output_files", "network", "transfer", "credentials", "client_options"},
    "holdings": {"protocol", "receipt", "output_files", "pull_folder", "network", "transfer", "api"},
    "diagnosis": {"protocol", "network", "transfer"},
    "__init__": {
        "protocol",
        "receipt",
        "output_files",
        "transfer",
        "credentials",
        "signing_certificate",
        "client_options",
        "api",
        "async_api",
    },
}
# The reconciler's own rooms; explaining knows nothing of where line items come from.
IN_THE_RECONCILER = {
    "explaining": set[str](),
    "sides": set[str](),
    "text_decimals": set[str](),
    "grouped_sums": {"text_decimals"},
    "side_totals": {"sides", "grouped_sums"},
    "auditing": {"sides", "explaining", "text_decimals"},
    "__init__": {"sides", "side_totals", "auditing"},
}
# What the server's rooms stand on within the server; whatever is one module of it is free in this.
IN_THE_SERVER = {"identity": {"lru_cache"}}
# What the pure half may not know of: it is given bytes and texts, and gives such.
EXPLAINING = "counterfoil.reconcile.explaining"
PURE_LIBRARIES = {
    "__future__",
    "calendar",
    "collections",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "itertools",
    "re",
    "typing",
}
IMPURE = {"httpx", "os", "pathlib", "shutil", "socket", "ssl", "tempfile", "threading"}
# Rooms that know stored files by what the storage room gives, never by where they are; and who in them may touch the
# disk of this machine all the same: input, rejects and scratch files, keys and certificates, the process itself.
DISK = {"os", "pathlib", "shutil", "tempfile"}
WITHOUT_DISK = {"datasets", "server"}
MAY_TOUCH_DISK = {
    "counterfoil.datasets.csv_lists",
    "counterfoil.datasets.folder",
    "counterfoil.datasets.jobs",
    "counterfoil.datasets.kernels.compilation",
    "counterfoil.datasets.kernels.compiler",
    "counterfoil.datasets.kernels.machine_code",
    "counterfoil.datasets.publication_list",
    "counterfoil.datasets.publishing",
    "counterfoil.datasets.rejects",
    "counterfoil.datasets.source",
    "counterfoil.datasets.worker",
    "counterfoil.server.error_responses",
    "counterfoil.server.identity.signing_keys",
    "counterfoil.server.identity.tls",
    "counterfoil.server.listening",
}
# Installed without [server], on Windows too.
PLAIN_ROOMS = {*GROUND, "wire", "client", "reconcile", "generator", "__init__", "__main__"}
IMPORT_NAMES = {"prometheus-client": "prometheus_client", "pyjwt": "jwt"}
PROGRAMS = {"counterfoil.__main__", "counterfoil.datasets.kernels.compiler", "counterfoil.datasets.worker"}
POSIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "core"}
FILES = sorted((SOURCE / "counterfoil").rglob("*.py"))
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))
FILE_LINES_MAX = 350
CONFTEST_LINES_MAX = 200


def room_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_of(path): path for path in FILES}


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every module a file imports, also inside functions and for types only."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            assert node.module is not None
            found |= {
                name if (name := f"{node.module}.{alias.name}") in MODULES else node.module for alias in node.names
            }
    return frozenset(found)


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


@each(FILES)
def test_imports_stay_on_their_floor(path: Path) -> None:
    room = room_of(module_of(path))
    ours = {name for name in imports_of(path) if name.partition(".")[0] == "counterfoil"}
    assert {room_of(name) for name in ours} - {room} <= ALLOWED[room]


CLIENT = "counterfoil.client"
CLIENT_FILES = [path for name, path in MODULES.items() if name == CLIENT or name.startswith(f"{CLIENT}.")]


def client_room_of(module: str) -> str:
    return [*module.removeprefix(CLIENT).split("."), "__init__"][1]


@each(CLIENT_FILES)
def test_imports_within_the_client_stay_on_their_floor(path: Path) -> None:
    room = client_room_of(module_of(path))
    rooms = {client_room_of(name) for name in imports_of(path) if name.startswith(f"{CLIENT}.")}
    assert rooms - {room} <= IN_THE_CLIENT[room]


RECONCILE = "counterfoil.reconcile"
RECONCILER_FILES = [path for name, path in MODULES.items() if name == RECONCILE or name.startswith(f"{RECONCILE}.")]


def reconciler_room_of(module: str) -> str:
    return [*module.removeprefix(RECONCILE).split("."), "__init__"][1]


@each(RECONCILER_FILES)
def test_imports_within_the_reconciler_stay_on_their_floor(path: Path) -> None:
    room, found = reconciler_room_of(module_of(path)), imports_of(path)
    rooms = {reconciler_room_of(name) for name in found if name.startswith(f"{RECONCILE}.")}
    assert rooms - {room} <= IN_THE_RECONCILER[room]
    assert room == "sides" or not [name for name in found if name.startswith(CLIENT)]


@each([path for path in FILES if path.parent.name in IN_THE_SERVER])
def test_the_servers_rooms_know_nothing_of_its_routes(path: Path) -> None:
    prefix = "counterfoil.server."
    rooms = {name.removeprefix(prefix).partition(".")[0] for name in imports_of(path) if name.startswith(prefix)}
    assert rooms - {path.parent.name} <= IN_THE_SERVER[path.parent.name]


@each([path for path in CLIENT_FILES if client_room_of(module_of(path)) == "protocol"])
def test_the_protocol_is_pure(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports_of(path)} & IMPURE


@each([path for path in FILES if module_of(path).startswith(EXPLAINING)])
def test_explaining_is_pure_and_shares_no_rounding_with_the_generator(path: Path) -> None:
    """Not even through the ground: a mistake in what both used could not be found by scenarios."""
    assert {name.partition(".")[0] for name in imports_of(path)} <= {*PURE_LIBRARIES, "counterfoil"}
    ours = {name for name in imports_of(path) if name.startswith("counterfoil.")}
    assert {name for name in ours if not name.startswith(EXPLAINING)} <= {"counterfoil.errors", "counterfoil.model"}


@each([path for path in FILES if room_of(module_of(path)) in WITHOUT_DISK])
def test_stored_files_are_reached_through_storage_alone(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    touched = {name.partition(".")[0] for name in imports_of(path)} & DISK | calls & {"open"}
    assert bool(touched) <= (module_of(path) in MAY_TOUCH_DISK), touched


def test_those_who_may_touch_the_disk_do() -> None:
    assert {name for name in MAY_TOUCH_DISK if imports_of(MODULES[name]) & DISK} == MAY_TOUCH_DISK


def test_no_module_imports_itself_by_a_detour() -> None:
    # A package and its modules are one node to Python only while the package's own file imports them.
    TopologicalSorter({name: imports_of(path) & MODULES.keys() - {name} for name, path in MODULES.items()}).prepare()


def libraries(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    names = {line.partition(">")[0].strip() for line in listed}
    return {IMPORT_NAMES.get(name, name) for name in names}


@each(FILES)
def test_imported_libraries_are_declared(path: Path) -> None:
    room = room_of(module_of(path))
    foreign = {name.partition(".")[0] for name in imports_of(path)} - {"counterfoil"}
    third_party = foreign - sys.stdlib_module_names - {"_typeshed"}  # which exists for type checkers only
    if room == "testing":
        third_party -= {"pytest"}  # it offers a fixture; whoever uses that has pytest
    assert third_party <= (libraries() if room in PLAIN_ROOMS else libraries("server"))
    assert not (room in PLAIN_ROOMS | {"cli"} and foreign & POSIX_ONLY)


def twice(names: Iterable[tuple[str, Path]]) -> dict[str, list[str]]:
    """The names that stand for more than one thing, and the files they are in."""
    places = defaultdict[str, list[str]](list)
    for name, path in names:
        places[name].append(str(path.relative_to(SOURCE)))
    return {name: found for name, found in places.items() if len(found) > 1}


def test_no_two_modules_share_a_name() -> None:
    assert not twice((path.stem, path) for path in FILES if path.stem not in {"__init__", "__main__"})


def test_no_two_classes_share_a_name() -> None:
    assert not twice(
        (node.name, path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )


@each([path for path in FILES if room_of(module_of(path)) != "cli"])
def test_the_library_names_no_option_of_the_command_line(path: Path) -> None:
    """An error names parameters, and the command line spells them as options. Docstrings are read by Python's users."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [text for text in texts if re.search(r"(?<![\w-])--[a-z]", text)]


def test_importing_has_no_effect() -> None:
    """No file is written, no port opened, no program, thread or log handler started, no setting read."""
    script = Path(__file__).with_name("import_everything.py")
    environ = {**os.environ, "COUNTERFOIL_PORT": "poison", "PYTHONDONTWRITEBYTECODE": "1"}
    names = [name for name in MODULES if name not in PROGRAMS]
    done = subprocess.run([sys.executable, script, *names], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@each(FILES)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX


@each(TEST_FILES)
def test_test_files_stay_short(path: Path) -> None:
    most = CONFTEST_LINES_MAX if path.name == "conftest.py" else FILE_LINES_MAX
    assert len(path.read_text(encoding="utf-8").splitlines()) <= most


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@each(FILES)
def test_functions_stay_short(path: Path) -> None:
    for function in functions(path):
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno < 70, function.name


@each([*FILES, *TEST_FILES])
def test_every_file_has_a_telling_name_and_says_what_it_is_for(path: Path) -> None:
    assert not {*path.relative_to(ROOT).with_suffix("").parts} & NO_NAMES
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
