"""The frame around all commands: how they are found, what is said where, and which exit code tells what."""

import errno
import json
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from counterfoil import cli
from counterfoil.cli.options import with_output, with_settings
from counterfoil.cli.output import Output
from counterfoil.errors import InputError, LockedError, UsageError
from counterfoil.printable_text import counted
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
    monkeypatch.setitem(cli.COMMANDS, "probe", cli.CommandEntry(cli.SERVER, "probe", "probe", "Do what the word says."))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, prog_name="counterfoil")


def real_commands() -> dict[str, cli.CommandEntry]:
    return {name: listed for name, listed in cli.COMMANDS.items() if name != "probe"}


def test_help_lists_every_command_in_two_groups() -> None:
    done = run("--help")
    client, server = done.stdout.partition("Client commands:\n")[2].split("\nServer commands:\n")
    assert done.exit_code == 0
    assert " ".join(line.split()[0] for line in client.splitlines()) == (
        "init pull pulls totals audit explain mapping reconcile breaks changes doctor"
    )
    assert " ".join(line.split()[0] for line in server.splitlines()[:-1]) == (
        "demo serve partners clients rotate-keys publish list show verify restore withdraw activity generate anonymize "
        "token warm-up sweep backup restore-backup rebuild"
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


@pytest.mark.parametrize(
    "arguments",
    [
        ["probe", "--output", "json", "locked"],
        ["probe", "--output", "json", "--port", "x"],
        ["probe", "surprise", "--output=json"],
        ["probe", "--prot", "1", "--output", "json"],
        ["--outptu", "probe", "--output", "json"],
        ["prob", "--output", "json"],
    ],
)
def test_with_output_json_an_error_is_one_line_of_json_wherever_the_mistake_is(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.stdout == ""
    body = json.loads(done.stderr)["error"]
    assert (body["exitCode"], sorted(body)) == (done.exit_code, ["exitCode", "message", "remedy", "type"])


def test_the_data_folder_is_named_on_stderr_and_data_alone_is_on_stdout() -> None:
    assert run("probe", "--data", "elsewhere").stderr == f"Data folder: {Path.cwd()}/elsewhere\n"
    assert run("probe").stderr == f"Data folder: {Path.cwd()}/counterfoil-data\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["probe", "--port", "7", "--output", "json"],
        ["probe", "--output=JSON", "--port", "7"],
        ["--output", "json", "probe", "--port", "7"],
        ["--output", "table", "probe", "--port", "7", "--output", "json"],
    ],
)
def test_in_json_stdout_is_one_value_and_stderr_is_empty(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (json.loads(done.stdout), done.stderr) == ({"port": "7"}, "")


@pytest.mark.parametrize("arguments", [["-q", "probe"], ["probe", "-q"], ["probe", "--quiet"]])
def test_a_quiet_run_prints_no_notes(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.stdout, done.stderr) == ("Port  8080\n", "")


def test_the_settings_file_may_be_named_before_the_command_or_behind_it(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("port = 1111\n")
    for arguments in (["--config", "one.toml", "probe"], ["probe", "--config", "one.toml"]):
        assert run(*arguments).stdout == "Port  1111\n"
    (tmp_path / "two.toml").write_text("port = 2222\n")
    assert run("--config", "one.toml", "probe", "--config", "two.toml").stdout == "Port  2222\n"


@pytest.mark.parametrize("option", ["--data", "--config"])
def test_an_empty_path_is_a_mistake_and_not_the_working_directory(option: str) -> None:
    place = [option, "", "probe"] if option == "--config" else ["probe", option, ""]
    done = run(*place)
    assert (done.exit_code, f"Invalid value for '{option}'" in done.stderr) == (2, True), done.stderr


def test_a_shell_is_told_how_to_complete_commands() -> None:
    asked = {"_COUNTERFOIL_COMPLETE": "bash_complete", "COMP_WORDS": "counterfoil pul", "COMP_CWORD": "1"}
    done = CliRunner(env=asked).invoke(cli.main, [], prog_name="counterfoil")
    assert (done.exit_code, done.stdout) == (0, "plain,pull\nplain,pulls\n")


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
    assert told.endswith('came from: pip install "./counterfoil[server]"')


def test_the_server_for_tests_says_what_it_lacks() -> None:
    script = BLOCKED.replace("from counterfoil.cli import main", "from counterfoil.testing import Server")
    command = [sys.executable, "-c", script, "starlette"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = 'counterfoil.testing needs the server: pip install "./counterfoil[server]"'
    assert done.stderr.splitlines()[-1] == f"ImportError: {told}"
