"""Files and the command: whole or not there, the same bytes each time, clear refusals."""

from __future__ import annotations

import gzip
import io
import shlex
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from counterfoil.cli.generate import generate as command
from counterfoil.errors import CounterfoilError, FullDiskError, UsageError
from counterfoil.generator import write
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from tests.generator.reading import BILLED, PARTNER, generated

USUAL = ["--kind", "usage", "--line-items", "70", "--special", "--partner", PARTNER]


def run(*arguments: str) -> bytes:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


def refused(*arguments: str) -> CounterfoilError:
    with pytest.raises(CounterfoilError) as caught:
        CliRunner().invoke(command, list(arguments), catch_exceptions=False, standalone_mode=False)
    return caught.value


def test_standard_output_bears_the_line_items_and_nothing_else() -> None:
    wanted = generated(Kind.USAGE, 70, scope=BILLED)
    assert run(*USUAL, "--invoice", "G016907411") == wanted
    assert run(*USUAL, "--invoice", "g016907411", "-o", "-") == wanted


def test_options_reach_the_generator() -> None:
    scope = Scope.unbilled(BillingPeriod(2026, 2), "CHF")
    wanted = generated(Kind.USAGE, 70, scope=scope, seed=5, resellers=3)
    assert run(*USUAL, *["--period", "2026-02", "--currency", "chf", "--seed", "5", "--resellers", "3"]) == wanted
    assert b'"BillingCurrency":"CHF"' in run(*USUAL, "--invoice", "G1", "--currency", "CHF")
    assert b'"BillingCurrency":"EUR"' in run(*USUAL, "--period", "2026-02")


def test_a_file_named_gz_is_one_gzip_member_without_a_time(tmp_path: Path) -> None:
    files = [tmp_path / "first.jsonl.gz", tmp_path / "second.JSONL.GZ"]
    for file in files:
        assert run(*USUAL, "--invoice", "G016907411", "-o", str(file)) == b"", "nothing but a note"
    packed = files[0].read_bytes()
    assert packed == files[1].read_bytes()
    assert packed[4:8] == b"\0\0\0\0"
    member = zlib.decompressobj(wbits=31)
    assert member.decompress(packed) == generated(Kind.USAGE, 70, scope=BILLED)
    assert member.eof
    assert not member.unused_data
    assert gzip.decompress(packed).count(b"\n") == 70


def test_a_plain_file_holds_the_bytes_as_they_are(tmp_path: Path) -> None:
    target = tmp_path / "line items.jsonl"
    target.write_bytes(b"old")
    run(*USUAL, "--invoice", "G016907411", "--out", str(target))
    assert target.read_bytes() == generated(Kind.USAGE, 70, scope=BILLED)
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_could_not_be_finished_is_not_there(tmp_path: Path) -> None:
    def interrupted() -> Iterator[bytes]:
        yield b"{}\n"
        raise KeyboardInterrupt

    target = tmp_path / "items.jsonl"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write(interrupted(), target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_and_a_missing_folder_are_told_in_a_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if full.exists():
        with pytest.raises(FullDiskError):
            write([b"x" * 100_000], full)
    missing = tmp_path / "nowhere" / "items.jsonl"
    with pytest.raises(CounterfoilError, match="nowhere"):
        write([b""], missing)


@pytest.mark.parametrize(
    ("shell", "code", "said"),
    [
        ("{command} | head -n 1 > /dev/null; exit ${{PIPESTATUS[0]}}", 0, ""),
        ("{command} > /dev/full", 1, "no room left for standard output"),
    ],
)
def test_standard_output_that_ends_early_is_no_traceback(shell: str, code: int, said: str) -> None:
    if not Path("/dev/full").exists() or shutil.which("bash") is None:
        pytest.skip("needs a Unix shell")
    program = (
        "from counterfoil.cli.generate import generate; from counterfoil.errors import CounterfoilError\n"
        "import sys\ntry: generate()\nexcept CounterfoilError as error: sys.exit(str(error))"
    )
    arguments = [*USUAL[:3], "5000", *USUAL[4:], "--period", "2026-10"]
    command = shlex.join([sys.executable, "-c", program, *arguments])
    ran = subprocess.run(["bash", "-c", shell.format(command=command)], capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stderr
    assert said in ran.stderr
    assert ran.stderr.count("\n") == (1 if said else 0), ran.stderr


def test_progress_counts_line_items() -> None:
    counts: list[int] = []
    write([b"{}\n{}\n", b"{}\n"], io.BytesIO(), counts.append)
    assert counts == [2, 3]


def test_wrong_use_is_refused_with_a_remedy() -> None:
    for wrong, said in (
        ([], "--invoice"),
        (["--invoice", "G1", "--period", "2026-01"], "--invoice"),
        (["--period", "2026-13"], "YYYY-MM"),
        (["--period", "2026-10", "--currency", "EURO"], "three letters"),
        (["--invoice", "G 1"], "printable"),
        (["--invoice", "G1", "--resellers", "-1"], "Ask for"),
        (["--invoice", "G1", "--line-items", "0"], "Ask for"),
        (["--invoice", "G1", "--partner", "contoso"], "GUID"),
    ):
        error = refused(*USUAL, *wrong)
        assert isinstance(error, UsageError)
        assert said in str(error)
    assert CliRunner().invoke(command, ["--kind", "recon"]).exit_code == 2


def test_help_teaches_with_an_example_that_runs() -> None:
    text = run("--help").decode()
    example = text.partition("An invoice, ready to publish:")[2].partition(" -o ")[0].replace("\\", "").split()
    assert example[:2] == ["counterfoil", "generate"]
    wanted = generated(Kind.RECONCILIATION, 1000, scope=BILLED, special=False)
    assert run(*example[2:]) == wanted
