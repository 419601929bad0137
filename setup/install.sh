#!/bin/sh
# Installs the wheels beside it, without a network, and goes back to what was installed before.
#
#   sh install.sh [FOLDER]          # into /opt/rectal-node or FOLDER; FOLDER/current is what runs
#   sh install.sh --back [FOLDER]   # FOLDER/current is again what it was before
#
# PYTHON names another interpreter. The node's root is untouched: before an upgrade `rectal-node backup`, to go back
# behind a change of its database `rectal-node restore` (docs/operations.md).
set -eu
unset PYTHONPATH PYTHONHOME

here=$(cd "$(dirname "$0")" && pwd)
back=""
if [ "${1:-}" = --back ]; then
    back=yes
    shift
fi
folder=${1:-/opt/rectal-node}

switch() { # to this installation, in one step
    ln -s "$1" "$folder/.next"
    mv -T "$folder/.next" "$folder/current"
    echo "$folder/current is $1, $("$folder/current/bin/rectal-node" --version | head -n 1)"
}

if [ -n "$back" ]; then
    [ -e "$folder/before" ] || { echo "$folder: nothing was installed before" >&2; exit 1; }
    before=$(readlink "$folder/before")
    ln -sfn "$(readlink "$folder/current")" "$folder/before"
    switch "$before"
    exit
fi

(cd "$here" && sha256sum --check --quiet --strict SHA256SUMS) || {
    echo "$here: files are not those that were made; copy the wheelhouse again" >&2
    exit 1
}
name=$(sha256sum "$here/requirements.txt" | cut -c1-12)
mkdir -p "$folder"
rm -f "$folder/.next"
if [ ! -e "$folder/$name/.whole" ]; then
    "${PYTHON:-python3}" -m venv --clear "$folder/$name"
    "$folder/$name/bin/pip" install --quiet --no-index --no-deps --find-links "$here/wheels" --require-hashes \
        --requirement "$here/requirements.txt"
    "$folder/$name/bin/pip" check
    touch "$folder/$name/.whole"
fi
if [ "$(readlink "$folder/current" 2>/dev/null || true)" != "$name" ]; then
    if [ -e "$folder/current" ]; then
        ln -sfn "$(readlink "$folder/current")" "$folder/before"
    fi
    switch "$name"
fi
