#!/usr/bin/env bash
# Compiles requirements/*.txt: exact versions with the hashes of every platform's files, for Python 3.11 and later.
# The development lock is compiled first; the two others are parts of it, with the same versions.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    .cache/lock/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" "$@"
}
compile "$@" pyproject.toml --extra server --extra postgres requirements/development.in --output-file requirements/development.txt
compile pyproject.toml --constraint requirements/development.txt --output-file requirements/client.txt
compile pyproject.toml --extra server --constraint requirements/development.txt --output-file requirements/server.txt
