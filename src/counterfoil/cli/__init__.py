"""The command line: parse, one call, print.

Commands are listed in one table and imported only when asked for. A command's module imports at its top what its
options and help need; what the command works with is imported in the functions that use it. So every `--help` is quick
and works on the plain install too, which has no server libraries; a test keeps it so. A command neither catches errors
nor exits: it raises, and the one place below turns what was raised into one line on stderr and an exit code: 0 good,
1 failed, 2 wrong use, 3 differences found, 4 try again later.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import click

from counterfoil.cli.options import Invocation, with_common
from counterfoil.cli.output import Output, OutputForm, leave_standard_output
from counterfoil.errors import CounterfoilError, UsageError
from counterfoil.settings import did_you_mean

EXIT_INTERRUPTED: Final = 130


SERVER: Final = "Server commands"
CLIENT: Final = "Client commands"


class CommandEntry(NamedTuple):
    """A command as the list of commands needs it: where it is, and a summary that needs no import to be shown."""

    group: str
    module: str
    attribute: str
    summary: str


COMMANDS: Final[dict[str, CommandEntry]] = {
    "demo": CommandEntry(SERVER, "demo", "demo", "Publish sample data, serve it, fetch it back and prove it."),
    "serve": CommandEntry(SERVER, "serve", "serve", "Serve what is published."),
    "partners": CommandEntry(SERVER, "partners", "partners", "Choose which partners may be served."),
    "clients": CommandEntry(SERVER, "partners", "clients", "Choose which programs may sign in, and for which partner."),
    "rotate-keys": CommandEntry(SERVER, "rotate_keys", "rotate_keys", "Sign tokens and links with new keys."),
    "publish": CommandEntry(SERVER, "publish", "publish", "Check line items and put them in force."),
    "list": CommandEntry(SERVER, "datasets", "list_datasets", "List what is published."),
    "show": CommandEntry(SERVER, "datasets", "show", "Show one dataset, its revisions and segments."),
    "verify": CommandEntry(SERVER, "datasets", "verify", "Recompute every count, sum and hash from the stored bytes."),
    "restore": CommandEntry(SERVER, "datasets", "restore", "Put an older revision in force."),
    "withdraw": CommandEntry(SERVER, "datasets", "withdraw", "Take a dataset out of force."),
    "activity": CommandEntry(SERVER, "activity_record", "activity", "Read who did what."),
    "generate": CommandEntry(SERVER, "generate", "generate", "Write realistic line items, the same for the same seed."),
    "anonymize": CommandEntry(SERVER, "anonymize", "anonymize", "Turn real line items into a fixture to share."),
    "token": CommandEntry(SERVER, "token", "token", "Print a development token."),
    "warm-up": CommandEntry(SERVER, "warm_up", "warm_up", "Compile what publishing needs, for instance in an image."),
    "sweep": CommandEntry(SERVER, "upkeep", "sweep", "Delete what can no longer be reached."),
    "backup": CommandEntry(SERVER, "backup_commands", "backup", "Back a data folder up while it is in use."),
    "restore-backup": CommandEntry(SERVER, "backup_commands", "restore_backup", "Make a data folder of a backup."),
    "rebuild": CommandEntry(SERVER, "upkeep", "rebuild", "Rebuild a lost catalog from the sealed files."),
    "init": CommandEntry(CLIENT, "init", "init", "Write the profile of a source to pull from, and check it."),
    "pull": CommandEntry(CLIENT, "pull", "pull", "Pull line items from a source, and prove them."),
    "pulls": CommandEntry(CLIENT, "pulls", "pulls", "List and verify pulls, and name what is missing or overdue."),
    "totals": CommandEntry(CLIENT, "side_sums", "totals", "Add up line items exactly, and show who costs what."),
    "audit": CommandEntry(CLIENT, "side_audits", "audit", "Check the arithmetic of line items, rule by rule."),
    "explain": CommandEntry(CLIENT, "line_explanations", "explain", "Say in one sentence how an amount comes about."),
    "mapping": CommandEntry(CLIENT, "ledger_mappings", "mapping", "Draft and check what reads your own ledger."),
    "reconcile": CommandEntry(CLIENT, "compared_sides", "reconcile", "Compare two sides, and give each cent a cause."),
    "breaks": CommandEntry(CLIENT, "break_commands", "breaks", "See to what comparisons found, month by month."),
    "changes": CommandEntry(CLIENT, "changed_data", "changes", "Say what changed in a dataset since a day."),
    "doctor": CommandEntry(CLIENT, "doctor", "doctor", "Check a set-up, a token or a source, and name each remedy."),
}
# What the plain install lacks. A missing module of any other name is a fault, and is shown as one.
SERVER_LIBRARIES: Final = frozenset(
    {
        "cryptography",
        "httptools",
        "jwt",
        "llvmlite",
        "numba",
        "numpy",
        "prometheus_client",
        "sqlalchemy",
        "starlette",
        "trustme",
        "uvicorn",
    }
)


# What somebody who only pulls may have meant by a command of the server.
_PULLED: Final = {name: f"For what you pulled: counterfoil pulls {name}. " for name in ("list", "show", "verify")}


class CommandLine(click.Group):
    """The group of all commands: it imports them when they are asked for, and reports what they raise."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in the order in which a new user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command."""
        listed = COMMANDS.get(cmd_name)
        if listed is None:
            return None
        command = getattr(importlib.import_module(f"{__name__}.{listed.module}"), listed.attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; one that does not exist gets the name that is nearest to it."""
        if args and args[0] not in COMMANDS:
            raise UsageError(
                f"There is no command {args[0]!r}.{did_you_mean(args[0], COMMANDS)}",
                remedy="`counterfoil --help` lists them.",
            )
        if args:
            ctx.ensure_object(Invocation).command = args[0]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by their groups, without importing one."""
        for group in (CLIENT, SERVER):
            with formatter.section(group):
                formatter.write_dl(
                    [(name, listed.summary) for name, listed in COMMANDS.items() if listed.group == group]
                )

    def main(self, args: Sequence[str] | None = None, *more: Any, **named: Any) -> Any:
        """Run, report, and exit with the code that says what happened."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a name the terminal cannot write must not end the command
                stream.reconfigure(errors="backslashreplace")
        invocation = Invocation(form=_form_asked_for(sys.argv[1:] if args is None else args))
        named |= {"standalone_mode": False, "obj": invocation}
        try:
            _refuse_closed_output()
            code = super().main(args, *more, **named)
        except BaseException as error:  # noqa: BLE001 - the one place where errors become words
            code = _report(error, invocation)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="counterfoil", message="counterfoil %(version)s")
@with_common
def main() -> None:
    """Serve, pull and prove Microsoft partner billing data, exact to the last digit.

    \b
    To see what it does, with made-up data:
      counterfoil demo
    To serve data of your own, at first on this machine only:
      counterfoil publish FILE
      counterfoil serve --dev
    To fetch data from Microsoft or another Counterfoil:
      counterfoil pull PROFILE --kind usage --invoice ID

    For details: counterfoil COMMAND --help. When something is wrong: counterfoil doctor. The options below may also
    stand behind a command.

    Data goes to stdout, everything else to stderr. Exit codes: 0 good, 1 failed, 2 wrong use, 3 differences found,
    4 try again later.
    """


def _report(error: BaseException, invocation: Invocation) -> int:
    """Say what happened and return the exit code."""
    output = invocation.output()
    match error:
        case SystemExit():
            return error.code if isinstance(error.code, int) else 1
        case click.Abort() if isinstance(error.__cause__, EOFError):
            output.error(CounterfoilError("The input ended where an answer was expected."))
        case click.Abort() | KeyboardInterrupt():
            _say_interrupted(output, str(error.__cause__ or error))  # click hides the interruption behind its own
            return EXIT_INTERRUPTED
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return error.exit_code
        case click.ClickException():
            output.error(_as_usage_error(error, invocation))
            return error.exit_code
        case CounterfoilError():
            output.error(error)
            return error.exit_code
        case ModuleNotFoundError() if told := _as_missing(error, invocation.command):
            output.error(told)
            return told.exit_code
        case OSError() if error.errno == errno.EPIPE:
            leave_standard_output()
        case _:
            output.error(_unexpected(error, invocation))
    return 1


def _form_asked_for(arguments: Sequence[str]) -> OutputForm:
    """Find out how to print before anything is parsed: what cannot be parsed is reported in this form too."""
    for option, value in pairwise([*arguments, ""]):
        if option == "--":
            break
        name, equals, joined = option.partition("=")
        if name == "--output" and (joined if equals else value).lower() == OutputForm.JSON:
            return OutputForm.JSON
    return OutputForm.TABLE


def _say_interrupted(output: Output, remedy: str) -> None:
    """`remedy` is what the command itself says to do, if anything."""
    interrupted = CounterfoilError("Interrupted. What was finished before stays; the rest was not done.", remedy=remedy)
    interrupted.exit_code = EXIT_INTERRUPTED
    if output.is_json:
        output.error(interrupted)
    else:
        output.note(f"{interrupted.message} {interrupted.remedy}".rstrip())


def _as_usage_error(error: click.ClickException, invocation: Invocation) -> CounterfoilError:
    if not isinstance(error, click.UsageError):
        return CounterfoilError(error.format_message())
    # A missing value is found before click has made the command's own context.
    command = error.ctx.command_path if error.ctx else f"counterfoil {invocation.command}".rstrip()
    return UsageError(error.format_message(), remedy=f"See `{command} --help`.")


def _as_missing(error: ModuleNotFoundError, command: str) -> UsageError | None:
    """Say what to install for a command; None where what is missing is no library of the server."""
    library = (error.name or "").partition(".")[0]
    if library in SERVER_LIBRARIES:
        return UsageError(
            f"`counterfoil {command}` needs the server's libraries, and {library} is not installed.",
            remedy=f"{_PULLED.get(command, '')}Install them from the folder or wheel that Counterfoil came from: "
            'pip install "./counterfoil[server]"',
        )
    return None


def _unexpected(error: BaseException, invocation: Invocation) -> CounterfoilError:
    if invocation.debug:
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.strerror:
        where = f": {os.fspath(error.filename)!r}" if isinstance(error.filename, str | bytes) else ""
        full = f"Make room; what is worked with is in {tempfile.gettempdir()}." if error.errno == errno.ENOSPC else ""
        return CounterfoilError(f"{error.strerror}{where}.", remedy=full)
    return CounterfoilError(
        f"Something unexpected happened ({type(error).__name__}: {error}).",
        remedy="`--debug` shows where; please report it.",
    )


def _refuse_closed_output() -> None:
    """Without a standard output (`>&-`), Python loses what is printed, and says nothing."""
    if sys.stdout is None:
        raise UsageError("Standard output is closed.", remedy="To do without it, write: > /dev/null")
