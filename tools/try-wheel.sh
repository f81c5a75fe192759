#!/usr/bin/env bash
# Builds the wheel and installs it where nothing else is: first alone, then with the server. Everything must start.
set -euo pipefail
cd "$(dirname "$0")/.."

try=$(mktemp -d)
trap 'rm -rf "$try"' EXIT
rm -rf dist
.venv/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
wheel=$(echo dist/counterfoil-*.whl)

install() {
    .venv/bin/python -m venv "$try/$1"
    "$try/$1/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        -r "requirements/$1.txt"
    "$try/$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$wheel"
    "$try/$1/bin/python" -m pip check
}

install client
for command in "" init pull pulls "pulls status" doctor generate serve publish list verify; do
    (cd "$try" && client/bin/counterfoil $command --help >/dev/null)
done
(cd "$try" && client/bin/counterfoil --version >/dev/null)
if (cd "$try" && client/bin/counterfoil list) 2>"$try/said"; then
    echo "list ran without its libraries" >&2
    exit 1
fi
grep -q 'For what you pulled: counterfoil pulls list. .*pip install "./counterfoil\[server\]"' "$try/said"

install server
(cd "$try" && server/bin/counterfoil demo >/dev/null)

# The plain install pulls from the other one, without any module that only POSIX has.
script=$PWD/tests/client/without_posix.py
(
    cd "$try"
    partner=0e195b37-4574-4539-bc42-0e539b9684c0 month=$(date -u +%Y-%m)
    token() { server/bin/counterfoil token --partner "$partner" --audience "$1"; }
    server/bin/counterfoil generate --kind usage --line-items 1000 --partner "$partner" --period "$month" \
        --currency EUR -o usage.jsonl
    server/bin/counterfoil publish usage.jsonl --period "$month" >/dev/null
    mkfifo serving
    server/bin/counterfoil serve --dev --port 0 >serving &
    server=$!
    trap 'kill "$server"' EXIT
    exec 3<serving
    read -r line <&3
    given='{"url": "%s", "tokens": {"graph": "%s", "v1": "%s"}, "to": "pulls", "now": "%s", "blocked": []}'
    # shellcheck disable=SC2059
    client/bin/python "$script" "$(printf "$given" "${line##* }" "$(token graph)" "$(token partner-center)" \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)")" >said
    grep -q '"codes": \[0, 0\]' said
)
echo "$wheel is sound."
