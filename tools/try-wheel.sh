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
for command in --version --help "pull --help" "generate --help" "doctor --help"; do
    (cd "$try" && client/bin/counterfoil $command >/dev/null)
done
if (cd "$try" && client/bin/counterfoil serve --help) 2>"$try/said"; then
    echo "serve started without its libraries" >&2
    exit 1
fi
grep -q 'pip install "counterfoil\[server\]"' "$try/said"

install server
(cd "$try" && server/bin/counterfoil demo >/dev/null)
echo "$wheel is sound."
