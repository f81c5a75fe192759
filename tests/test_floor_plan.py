"""The floor plan is a test: who may import whom, what runs at import, and how big a room may grow."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable
from graphlib import TopologicalSorter
from pathlib import Path

from tests.source_files import FILES, MODULES, ROOT, SOURCE, module_of, read

GROUND = {
    "disk",
    "line_items",
    "errors",
    "lifetimes_and_sizes",
    "numbers",
    "money",
    "printable_text",
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
    "printable_text": set[str](),
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
    "sql_ledgers": GROUND | {"reconcile"},
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
    "line_places": {"sides"},
    "line_explanation": {"sides", "auditing", "line_places"},
    "matching": {"sides", "explaining"},
    "ledger_matching": {"sides", "grouped_sums", "side_totals", "explaining", "matching"},
    "comparing": {"sides", "grouped_sums", "side_totals", "matching", "ledger_matching", "explaining"},
    "breaks": {"side_totals", "matching", "explaining", "comparing"},
    "reports": {"sides", "side_totals", "matching", "explaining", "comparing", "ledger_matching"},
    "__init__": {
        *("sides", "side_totals", "auditing", "line_explanation"),
        *("explaining", "matching", "ledger_matching", "comparing", "breaks"),
    },
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
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))
FILE_LINES_MAX = 350
CONFTEST_LINES_MAX = 200


def room_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def imports_of(path: Path) -> frozenset[str]:
    return read(path).imports


def broken_by(paths: Iterable[Path], fault_of: Callable[[Path], object]) -> dict[str, object]:
    """The files that break a rule, and with what."""
    return {str(path.relative_to(ROOT)): fault for path in paths if (fault := fault_of(path))}


def test_imports_stay_on_their_floor() -> None:
    def strange(path: Path) -> set[str]:
        room = room_of(module_of(path))
        ours = {name for name in imports_of(path) if name.partition(".")[0] == "counterfoil"}
        return {room_of(name) for name in ours} - {room} - ALLOWED[room]

    assert broken_by(FILES, strange) == {}


CLIENT = "counterfoil.client"
CLIENT_FILES = [path for name, path in MODULES.items() if name == CLIENT or name.startswith(f"{CLIENT}.")]


def client_room_of(module: str) -> str:
    return [*module.removeprefix(CLIENT).split("."), "__init__"][1]


def test_imports_within_the_client_stay_on_their_floor() -> None:
    def strange(path: Path) -> set[str]:
        room = client_room_of(module_of(path))
        rooms = {client_room_of(name) for name in imports_of(path) if name.startswith(f"{CLIENT}.")}
        return rooms - {room} - IN_THE_CLIENT[room]

    assert broken_by(CLIENT_FILES, strange) == {}


RECONCILE = "counterfoil.reconcile"
RECONCILER_FILES = [path for name, path in MODULES.items() if name == RECONCILE or name.startswith(f"{RECONCILE}.")]


def reconciler_room_of(module: str) -> str:
    return [*module.removeprefix(RECONCILE).split("."), "__init__"][1]


def test_imports_within_the_reconciler_stay_on_their_floor() -> None:
    def strange(path: Path) -> set[str]:
        room, found = reconciler_room_of(module_of(path)), imports_of(path)
        rooms = {reconciler_room_of(name) for name in found if name.startswith(f"{RECONCILE}.")}
        of_the_client = {name for name in found if name.startswith(CLIENT)}
        return rooms - {room} - IN_THE_RECONCILER[room] | (of_the_client if room != "sides" else set())

    assert broken_by(RECONCILER_FILES, strange) == {}


def test_the_servers_rooms_know_nothing_of_its_routes() -> None:
    prefix = "counterfoil.server."

    def strange(path: Path) -> set[str]:
        rooms = {name.removeprefix(prefix).partition(".")[0] for name in imports_of(path) if name.startswith(prefix)}
        return rooms - {path.parent.name} - IN_THE_SERVER[path.parent.name]

    assert broken_by([path for path in FILES if path.parent.name in IN_THE_SERVER], strange) == {}


def test_the_protocol_is_pure() -> None:
    protocol = [path for path in CLIENT_FILES if client_room_of(module_of(path)) == "protocol"]
    assert protocol
    assert broken_by(protocol, lambda path: {name.partition(".")[0] for name in imports_of(path)} & IMPURE) == {}


def test_explaining_is_pure_and_shares_no_rounding_with_the_generator() -> None:
    """Not even through the ground: a mistake in what both used could not be found by scenarios."""

    def strange(path: Path) -> set[str]:
        found = imports_of(path)
        foreign = {name.partition(".")[0] for name in found} - {*PURE_LIBRARIES, "counterfoil"}
        ours = {name for name in found if name.startswith("counterfoil.") and not name.startswith(EXPLAINING)}
        return foreign | ours - {"counterfoil.errors", "counterfoil.model"}

    explaining = [path for path in FILES if module_of(path).startswith(EXPLAINING)]
    assert explaining
    assert broken_by(explaining, strange) == {}


def test_stored_files_are_reached_through_storage_alone() -> None:
    def touched(path: Path) -> set[str]:
        found = {name.partition(".")[0] for name in imports_of(path)} & DISK | read(path).calls & {"open"}
        return set() if module_of(path) in MAY_TOUCH_DISK else found

    assert broken_by([path for path in FILES if room_of(module_of(path)) in WITHOUT_DISK], touched) == {}


def test_those_who_may_touch_the_disk_do() -> None:
    assert {name for name in MAY_TOUCH_DISK if imports_of(MODULES[name]) & DISK} == MAY_TOUCH_DISK


def test_no_module_imports_itself_by_a_detour() -> None:
    # A package and its modules are one node to Python only while the package's own file imports them.
    TopologicalSorter({name: imports_of(path) & MODULES.keys() - {name} for name, path in MODULES.items()}).prepare()


def libraries(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    names = {re.split(r"[>\[]", line)[0].strip() for line in listed}
    return {IMPORT_NAMES.get(name, name) for name in names}


def test_imported_libraries_are_declared() -> None:
    plain, server, engines = libraries(), libraries("server"), libraries("postgres")

    def strange(path: Path) -> set[str]:
        room = room_of(module_of(path))
        foreign = {name.partition(".")[0] for name in imports_of(path)} - {"counterfoil"}
        third_party = foreign - sys.stdlib_module_names - {"_typeshed"}  # which exists for type checkers only
        if room == "testing":
            third_party -= {"pytest"}  # it offers a fixture; whoever uses that has pytest
        declared = plain if room in PLAIN_ROOMS else server | engines if room == "storage" else server
        undeclared = third_party - declared
        return undeclared | (foreign & POSIX_ONLY if room in PLAIN_ROOMS | {"cli"} else set())

    assert broken_by(FILES, strange) == {}


def twice(names: Iterable[tuple[str, Path]]) -> dict[str, list[str]]:
    """The names that stand for more than one thing, and the files they are in."""
    places = defaultdict[str, list[str]](list)
    for name, path in names:
        places[name].append(str(path.relative_to(SOURCE)))
    return {name: found for name, found in places.items() if len(found) > 1}


def test_no_two_modules_share_a_name() -> None:
    assert not twice((path.stem, path) for path in FILES if path.stem not in {"__init__", "__main__"})


def test_no_two_classes_share_a_name() -> None:
    assert not twice((name, path) for path in FILES for name in read(path).classes)


def test_the_library_names_no_option_of_the_command_line() -> None:
    """An error names parameters, and the command line spells them as options. Docstrings are read by Python's users."""

    def options_in(path: Path) -> list[str]:
        return [text for text in read(path).texts if re.search(r"(?<![\w-])--[a-z]", text)]

    assert broken_by([path for path in FILES if room_of(module_of(path)) != "cli"], options_in) == {}


def test_importing_has_no_effect() -> None:
    """No file is written, no port opened, no program, thread or log handler started, no setting read."""
    script = Path(__file__).with_name("import_everything.py")
    environ = {**os.environ, "COUNTERFOIL_PORT": "poison", "PYTHONDONTWRITEBYTECODE": "1"}
    names = [name for name in MODULES if name not in PROGRAMS]
    done = subprocess.run([sys.executable, script, *names], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_files_stay_short() -> None:
    assert broken_by(FILES, lambda path: max(0, read(path).lines - FILE_LINES_MAX)) == {}


def test_test_files_stay_short() -> None:
    def lines_too_many(path: Path) -> int:
        most = CONFTEST_LINES_MAX if path.name == "conftest.py" else FILE_LINES_MAX
        return max(0, len(path.read_text(encoding="utf-8").splitlines()) - most)

    assert broken_by(TEST_FILES, lines_too_many) == {}


def test_functions_stay_short() -> None:
    assert broken_by(FILES, lambda path: [name for name, lines in read(path).functions.items() if lines >= 70]) == {}


def test_every_file_has_a_telling_name_and_says_what_it_is_for() -> None:
    def docstring_of(path: Path) -> str | None:
        return read(path).docstring if path.is_relative_to(SOURCE) else ast.get_docstring(ast.parse(path.read_bytes()))

    everything = [*FILES, *TEST_FILES]
    assert broken_by(everything, lambda path: {*path.relative_to(ROOT).with_suffix("").parts} & NO_NAMES) == {}
    assert broken_by(everything, lambda path: not docstring_of(path)) == {}
