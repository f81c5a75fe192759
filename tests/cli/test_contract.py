"""The calls that users may rely on: each parses as it is written here, and means what it says."""

from __future__ import annotations

import shlex

import click
import pytest

from counterfoil.cli import main

TENANT = "0e195b37-4574-4539-bc42-0e539b9684c0"
CALLS = f"""
demo
demo --keep
serve
serve --host 127.0.0.1 --port 8080 --https-port 8443 --tls-cert chain.pem --tls-key key.pem
serve --load folder --dev --dev-open a.example,b.example --now 2026-11-05T09:00Z --operation-delay 2 --data DIR
partners add {TENANT}
partners list --output json
partners remove {TENANT}
clients add --partner {TENANT}
clients list --partner {TENANT}
clients revoke --partner {TENANT} CLIENT
publish a.jsonl b.csv
publish - --partner {TENANT} --issuer {TENANT} --kind usage --period 2026-11 --currency EUR --segment day-1
publish a --invoice G016907411 --kind reconciliation --rejects rejects.csv --allow-rejects 3 --dry-run
list
list --data DIR --output json
show 41c7ad
verify
restore 41c7ad
withdraw --partner {TENANT} --kind usage --invoice G016907411
generate --kind usage --line-items 10 --seed 1 --partner {TENANT} --period 2026-11 --currency EUR --resellers 4 -o FILE
generate --kind reconciliation --line-items 10 --partner {TENANT} --invoice G016907411
token --partner {TENANT} --audience partner-center
pull contoso --kind usage --invoice G016907411
pull https://graph.microsoft.com --api graph --kind usage --period last --currency EUR --attribute-set basic --to DIR
pull contoso --api v1 --kind reconciliation --period current --currency EUR --format parquet --publish --token -
sweep
doctor
doctor contoso
doctor https://graph.microsoft.com
"""


@pytest.mark.parametrize("call", CALLS.strip().splitlines())
def test_a_call_of_the_contract_parses_as_it_is_written(call: str) -> None:
    words = shlex.split(call)
    command: click.Command = main
    context = click.Context(main, info_name="counterfoil")
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    with command.make_context(command.name, words, parent=context):
        pass  # refused options and missing arguments are raised


@pytest.mark.parametrize("call", ["list -o json", "serve -o json", "show -o x"])
def test_the_short_o_is_a_file_and_never_the_form_of_the_output(call: str) -> None:
    name, *words = shlex.split(call)
    command = main.get_command(click.Context(main), name)
    assert command is not None
    with pytest.raises(click.NoSuchOption):
        command.make_context(name, words)
