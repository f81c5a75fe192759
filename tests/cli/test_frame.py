"""The frame around all commands: how they are found, what is said where, and which exit code tells what."""

import errno
import json
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from counterfoil import cli
from counterfoil.cli.options import with_output, with_settings
from counterfoil.cli.output import Headed, Output, OutputForm, counted, printable
from counterfoil.errors import InputError, LockedError, UsageError
from counterfoil.settings import Settings


@click.command()
@click.argument("word", default="")
@click.option("--port", type=int)
@with_settings("port")
@with_output
def probe(word: str, settings: Settings, output: Output) -> None:
    """Do what the word says."""
    raised: dict[str, BaseException] = {
        "locked": LockedError("Another publication is at work.", remedy="Try again."),
        "input": InputError("no number", file="a.json", line=3, attribute="Total", value="1_0\x1b[2J"),
        "usage": UsageError("That cannot be."),
        "interrupt": KeyboardInterrupt(),
        "pipe": BrokenPipeError(errno.EPIPE, "Broken pipe"),
        "full": OSError(errno.ENOSPC, "No space left on device", "/data/x"),
        "surprise": ZeroDivisionError("what"),
    }
    if word == "differences":
        click.get_current_context().exit(3)
    if word in raised:
        raise raised[word]
    output.facts({"port": str(settings.port)})


@pytest.fixture(autouse=True)
def _probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "counterfoil.cli.probe", type(sys)("counterfoil.cli.probe"))
    monkeypatch.setattr(sys.modules["counterfoil.cli.probe"], "probe", probe, raising=False)
    monkeypatch.setitem(cli.COMMANDS, "probe", cli.CommandEntry("probe", "probe", "Do what the word says."))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, prog_name="counterfoil")


def real_commands() -> dict[str, cli.CommandEntry]:
    return {name: listed for name, listed in cli.COMMANDS.items() if name != "probe"}


def test_help_lists_every_command_in_the_order_of_the_contract() -> None:
    done = run("--help")
    told = [line.split()[0] for line in done.stdout.partition("Commands:\n")[2].splitlines()]
    assert done.exit_code == 0
    assert " ".join(told[:-1]) == (
        "demo serve partners clients publish list show verify restore withdraw generate token pull pulls warm-up "
        "sweep rebuild doctor"
    )


def test_the_version_is_the_one_that_is_installed() -> None:
    assert run("--version").stdout == f"counterfoil {version('counterfoil')}\n"


@pytest.mark.parametrize("name", real_commands())
def test_every_command_that_is_listed_is_there(name: str) -> None:
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command is not None
    assert run(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["probe"], 0, ""),
        (["probe", "locked"], 4, "Error: Another publication is at work. Try again."),
        (["probe", "usage"], 2, "Error: That cannot be."),
        (["probe", "input"], 1, r"Error: a.json, line 3, Total: no number ('1_0\x1b[2J')."),
        (["probe", "differences"], 3, ""),
        (["probe", "full"], 1, "Error: No space left on device: '/data/x'."),
        (["probe", "surprise"], 1, "Error: Something unexpected happened (ZeroDivisionError: what)."),
        (["probe", "interrupt"], 130, "Interrupted."),
        (
            ["probe", "interrupt", "--output", "json"],
            130,
            '{"error": {"type": "CounterfoilError", "message": "Interrupt',
        ),
        (["probe", "--port", "x"], 2, "Error: Invalid value for '--port': 'x' is not a valid integer."),
        (["probe", "--prot", "1"], 2, "--port"),
        (["prob"], 2, "Error: There is no command 'prob'. Did you mean 'probe'? `counterfoil --help` lists them."),
        ([], 2, "Usage: counterfoil [OPTIONS] COMMAND [ARGS]..."),
        (["--config", "nowhere.toml", "probe"], 2, "nowhere.toml cannot be read"),
    ],
)
def test_what_happened_is_one_line_on_stderr_and_an_exit_code(arguments: list[str], code: int, said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ("Port  8080\n" if code == 0 else "")
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == (code in {1, 2, 4} and bool(arguments))


def test_debug_shows_where_an_unexpected_error_arose() -> None:
    assert "ZeroDivisionError: what" in run("--debug", "probe", "surprise").stderr
    assert "Traceback" in run("--debug", "probe", "surprise").stderr


@pytest.mark.parametrize("arguments", [["locked"], ["--port", "x"], ["surprise"]])
def test_with_output_json_an_error_is_json_too(arguments: list[str]) -> None:
    done = run("probe", "--output", "json", *arguments)
    body = json.loads(done.stderr.splitlines()[-1])["error"]
    assert (body["exitCode"], sorted(body)) == (done.exit_code, ["exitCode", "message", "remedy", "type"])


def test_the_data_folder_is_named_on_stderr_and_data_alone_is_on_stdout() -> None:
    done = run("probe", "--data", "elsewhere", "--port", "7", "--output", "json")
    assert done.stderr == f"Data folder: {Path.cwd()}/elsewhere\n"
    assert json.loads(done.stdout) == {"port": "7"}
    assert f"Data folder: {Path.cwd()}/counterfoil-data\n" in run("probe").stderr


@pytest.mark.parametrize("option", ["--data", "--config"])
def test_an_empty_path_is_a_mistake_and_not_the_working_directory(option: str) -> None:
    place = [option, "", "probe"] if option == "--config" else ["probe", option, ""]
    done = run(*place)
    assert (done.exit_code, f"Invalid value for '{option}'" in done.stderr) == (2, True), done.stderr


def test_an_endless_argument_is_not_quoted_to_its_end() -> None:
    assert len(run("x" * 100_000).stderr) < 2_500


def test_one_is_counted_in_the_singular() -> None:
    assert [counted(n, "line item") for n in (0, 1, 1200)] == ["0 line items", "1 line item", "1,200 line items"]


def test_an_option_beats_the_environment_and_silence_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_PORT", "9")
    assert run("probe").stdout == "Port  9\n"
    assert run("probe", "--port", "0").stdout == "Port  0\n"


def test_a_reader_that_went_away_is_no_reason_to_speak() -> None:
    done = run("probe", "pipe")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Data folder: {Path.cwd()}/counterfoil-data\n")


def test_head_closing_the_pipe_leaves_no_trace() -> None:
    command = f"{shlex.quote(sys.executable)} -m counterfoil --help | true"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_closed_standard_output_is_no_place_for_data() -> None:
    command = f"{shlex.quote(sys.executable)} -m counterfoil generate --help >&-"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "Error: Standard output is closed. To do without it, write: > /dev/null\n",
    )


TOTALS = {"total": Decimal("0.1999968000511991808131"), "lines": 1234567, "at": datetime(2026, 11, 5, 9, tzinfo=UTC)}


def printed(form: OutputForm) -> tuple[Output, StringIO, StringIO]:
    stdout, stderr = StringIO(), StringIO()
    return Output(form, stdout, stderr), stdout, stderr


def test_a_table_through_a_pipe_is_aligned_and_never_cut() -> None:
    output, stdout, _ = printed(OutputForm.TABLE)
    output.rows([{"name": "x" * 300, "lineItems": 1234}, {"name": "b\x1b", "lineItems": 5}])
    assert (
        stdout.getvalue()
        == f"{'Name':300}  Line items\n{'x' * 300}       1,234\n{'b' + chr(92) + 'x1b':300}           5\n"
    )


def test_json_keeps_every_digit_of_an_amount_as_text() -> None:
    output, stdout, _ = printed(OutputForm.JSON)
    output.rows([{"totals": TOTALS}])
    assert json.loads(stdout.getvalue()) == [
        {"totals": {"total": "0.1999968000511991808131", "lines": 1234567, "at": "2026-11-05T09:00:00Z"}}
    ]


def test_facts_are_one_to_a_line_and_a_mapping_takes_one_for_each_entry() -> None:
    output, stdout, _ = printed(OutputForm.TABLE)
    output.facts({"totals": TOTALS, "inForce": True, "c": Headed("Note", None)})
    assert stdout.getvalue() == (
        "Totals    total: 0.1999968000511991808131\n"
        "          lines: 1,234,567\n"
        "          at: 2026-11-05T09:00:00Z\n"
        "In force  yes\n"
        "Note\n"
    )


def test_nothing_to_list_is_said_on_stderr_and_is_an_empty_list_in_json() -> None:
    output, stdout, stderr = printed(OutputForm.TABLE)
    output.rows([], none="Nothing is published.")
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "Nothing is published.\n")
    output, stdout, stderr = printed(OutputForm.JSON)
    output.rows([], none="Nothing is published.")
    assert (stdout.getvalue(), stderr.getvalue()) == ("[]\n", "")


def test_progress_without_a_terminal_is_a_plain_line_now_and_then() -> None:
    output, stdout, stderr = printed(OutputForm.TABLE)
    ticks = iter([0.0, 1.0, 6.0, 6.0, 7.0])
    with output.progress("Reading", 3_000, clock=lambda: next(ticks)) as advance:
        for _ in range(3):
            advance(1_000)
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "Reading: 2,000 of 3,000\n")


def test_on_a_terminal_a_customers_name_is_no_markup_and_steers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    output, stdout, _ = printed(OutputForm.TABLE)
    monkeypatch.setattr(stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    output.rows([{"name": "[red]Contoso[/red]\x1b[2J", "id": "0123456789" * 20}])
    assert r"[red]Contoso[/red]\x1b[2J" in stdout.getvalue()
    assert "0123456789" * 20 in stdout.getvalue()
    assert "\x1b" not in stdout.getvalue()


def test_progress_on_a_terminal_counts_and_leaves_the_screen_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    output, stdout, stderr = printed(OutputForm.TABLE)
    monkeypatch.setattr(stderr, "isatty", lambda: True)
    for total in (None, 3_000):
        with output.progress("Reading", total) as advance:
            advance(1_234)
    assert stdout.getvalue() == ""
    assert "Reading 1,234 " in stderr.getvalue()
    assert "Reading 1,234 of 3,000" in stderr.getvalue()
    assert stderr.getvalue().rstrip().endswith("\x1b[2K")


def test_printable_leaves_other_scripts_alone() -> None:
    assert printable("Łódź 東京 \u202e\n") == "Łódź 東京 \\u202e\\n"


STEERING = [
    chr(code)
    for code in (*range(0x20), *range(0x7F, 0xA0), 0xAD, 0x200B, 0x2028, 0x202E, 0x2066, 0xD800, 0xFEFF, 0xE0001)
]


@pytest.mark.parametrize("form", OutputForm)
@pytest.mark.parametrize("char", STEERING, ids=lambda char: f"U+{ord(char):04X}")
def test_nothing_that_steers_a_terminal_is_ever_printed(char: str, form: OutputForm) -> None:
    said = f"Łódź {char}[31m"
    output, stdout, stderr = printed(form)
    output.rows([{"eTag": said}])
    output.facts({"eTag": said, f"name {char}": [said, {"deep": said}]})
    output.text("eTag", said)
    output.note(said)
    output.warning(said)
    output.error(UsageError(said, remedy=said))
    output.conclude(said, remedy=said, exit_code=4)
    for stream in (stdout, stderr):
        assert char not in stream.getvalue().replace("\n", "")
        assert "Łódź" in stream.getvalue()
    if form is OutputForm.JSON:
        decoder, text = json.JSONDecoder(), stdout.getvalue()
        rows, end = decoder.raw_decode(text)
        facts, _ = decoder.raw_decode(text[end:].lstrip())
        assert (rows, facts["eTag"]) == ([{"eTag": said}], said), "what is escaped means the same"


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
import counterfoil
from counterfoil.cli import main
main(sys.argv[2:], prog_name="counterfoil")
"""


def without(blocked: set[str] | frozenset[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED, ",".join(blocked), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["publish", "--help"], ["pulls", "list"], ["pulls", "status", "--help"], ["doctor"]],
)
def test_the_plain_install_runs_what_needs_no_server_on_windows_too(arguments: list[str]) -> None:
    done = without(cli.SERVER_LIBRARIES | {"fcntl"}, *arguments)
    assert (done.returncode, "Error" in done.stderr) == (0, False)


@pytest.mark.parametrize("arguments", [["serve"], ["publish", "x.jsonl"], ["demo"], ["verify"]])
def test_the_plain_install_says_what_to_install_for_the_rest(arguments: list[str]) -> None:
    done = without(cli.SERVER_LIBRARIES, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    told = done.stderr.splitlines()[-1]
    assert told.startswith(f"Error: `counterfoil {arguments[0]}` needs the server's libraries")
    assert told.endswith('Install them with: pip install "counterfoil[server]"')


def test_windows_is_told_to_use_wsl_for_what_needs_file_locks() -> None:
    done = without({"fcntl"}, "verify")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "Error: `counterfoil verify` runs on Linux and macOS only. On Windows, use it within WSL.",
    )


@pytest.mark.parametrize(
    ("blocked", "told"),
    [
        ({"fcntl"}, "counterfoil.testing runs on Linux and macOS only; on Windows, use it in WSL"),
        ({"starlette"}, 'counterfoil.testing needs the server: pip install "counterfoil[server]"'),
    ],
)
def test_the_server_for_tests_says_what_it_lacks(blocked: set[str], told: str) -> None:
    script = BLOCKED.replace("from counterfoil.cli import main", "from counterfoil.testing import Server")
    command = [sys.executable, "-c", script, ",".join(blocked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == f"ImportError: {told}"
