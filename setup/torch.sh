#!/bin/sh
# The torch of constraints.txt into an environment, before anything asks for torch with a looser request.
#
#   torch.sh PIP cpu|cuda MEGABYTES
#
# On Linux PyPI's torch is the CUDA build, which needs MEGABYTES. The CPU build stands in an index of its own, which is
# taken where it can be reached; else, and for cuda, torch comes from wherever pip looks. TORCH_CPU_INDEX names a mirror.
set -eu

pip=$1 build=$2 megabytes=$3
constraints=$(dirname "$0")/constraints.txt
version=$(sed -n 's/^torch==//p' "$constraints")
cpu_index=${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}

has_cpu_build() { # with these options; pip bounds a connection but not the look-up of a name, hence the clock beside it
    "$pip" index versions torch --disable-pip-version-check --timeout 5 --retries 0 "$@" 2>/dev/null >"$offers" &
    asked=$!
    (sleep 20 && kill "$asked") >/dev/null 2>&1 &
    clock=$!
    wait "$asked" 2>/dev/null || true
    kill "$clock" 2>/dev/null || true
    grep -q -F "$version+cpu" "$offers"
}

install() {
    "$pip" install --quiet --constraint "$constraints" "$@"
}

offers=$(mktemp)
trap 'rm -f "$offers"' EXIT
installed=$("$pip" freeze | sed -n 's/^torch==//p')
if [ "$build" = cpu ] && [ "$(uname)" = Linux ]; then
    if [ "$installed" = "$version+cpu" ]; then
        exit
    elif has_cpu_build; then
        install "torch==$version+cpu"
        exit
    elif has_cpu_build --extra-index-url "$cpu_index"; then
        install "torch==$version+cpu" --extra-index-url "$cpu_index"
        exit
    elif [ "$installed" = "$version" ]; then
        exit
    fi
    echo "$cpu_index has no torch $version for this Python, or does not answer: the usual index gives it, with CUDA."
    sh "$(dirname "$0")/check.sh" space "$(dirname "$pip")" "$megabytes"
elif [ "$build" = cuda ] && [ "$installed" = "$version+cpu" ]; then
    "$pip" uninstall --quiet --yes torch
fi
install "torch==$version"
