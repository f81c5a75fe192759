#!/usr/bin/env bash
# Installs the engines of `make test-engines` from Debian's packages, where they are missing. It starts none of them.
set -euo pipefail

if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    mkdir -p /etc/postgresql-common
    # Or the package would make a cluster of its own and start it.
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
fi
