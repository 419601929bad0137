#!/bin/sh
# The newest releases into an environment, and what came of it into constraints.txt.
#
#   upgrade.sh BIN cpu|cuda [TORCH_VERSION]
#
# torch stays as it is unless a version is named: every other release of it gives other last bits.
set -eu

bin=$1 build=$2
setup=$(dirname "$0")
constraints=$setup/constraints.txt
"$bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "make upgrade wants Python 3.11: newer Pythons have wheels of what is newest for the oldest, not the reverse" >&2
    exit 1
}

fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
if [ $# -gt 2 ]; then
    sed "s/^torch==.*/torch==$3/" "$constraints" >"$fresh" && cat "$fresh" >"$constraints"
    sh "$setup/torch.sh" "$bin/pip" "$build" 0
fi
grep '^torch==' "$constraints" >"$fresh"
"$bin/pip" install --quiet --upgrade --upgrade-strategy eager setuptools versioneer --constraint "$fresh"
"$bin/pip" install --quiet --upgrade --upgrade-strategy eager --no-build-isolation --editable '.[test]' --constraint "$fresh"
# Without pip, which is the environment's own, and without the build that a release of torch is.
"$bin/pip" freeze --all --exclude-editable | sed -e '/^pip==/d' -e 's/^\(torch==[^+]*\)+.*/\1/' >"$fresh"
{
    sed '/^[^#]/d' "$constraints"
    cat "$fresh"
} >"$constraints.new"
mv "$constraints.new" "$constraints"
git diff --stat -- "$constraints" || true
