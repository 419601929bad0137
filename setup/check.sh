#!/bin/sh
# What an installation needs before anything starts, one line a fault with its remedy; silent where all is there.
#
#   check.sh machine PYTHON FOLDER MEGABYTES   interpreter, venv, C compiler, headers, free space for what is to come
#   check.sh space FOLDER MEGABYTES            the last of these alone
#   check.sh index PIP                         the package index, asked by the pip that will install from it
#
# Ends with 1 when something is missing.
set -u

oldest=11 newest=14 # of Python 3, as requires-python in pyproject.toml
faults=0

fault() { # what is missing, then the remedies on Debian or Ubuntu, on Fedora, on macOS
    printf '%s\n' "$1 Debian/Ubuntu: $2; Fedora: $3; macOS: $4" >&2
    faults=1
}

python_here() { # a name alone may be a pyenv shim without a Python behind it
    for minor in 13 12 11 14; do
        "python3.$minor" -c '' 2>/dev/null && command -v "python3.$minor" && return
    done
    return 1
}

check_python() {
    found=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || found=none
    case $found in
        3.*) [ "${found#3.}" -ge "$oldest" ] && [ "${found#3.}" -le "$newest" ] && return ;;
    esac
    is="is Python $found"
    [ "$found" != none ] || is="does not run"
    wanted="Wrong Python: 3.$oldest to 3.$newest is needed, $1 $is."
    if other=$(python_here); then
        wanted="$wanted $other is here: call make with PYTHON=$other. Else"
    fi
    fault "$wanted" "apt install python3 python3-venv python3-dev (Debian 12, Ubuntu 24.04 or newer)" \
        "dnf install python3.13 python3.13-devel" "brew install python@3.13"
    return 1
}

check_venv() { # Debian has venv without ensurepip until python3-venv is there
    "$1" -c 'import venv, ensurepip' 2>/dev/null && return
    fault "$1 cannot make virtual environments (no venv or ensurepip)." "apt install python$found-venv" \
        "dnf install python3-libs" "brew install python@3.13"
}

check_compiler() { # the one that setuptools will call, by compiling, since a name alone may be a stub
    compiler=${CC:-$("$1" -c 'import sysconfig; print(sysconfig.get_config_var("CC") or "cc")')}
    headers=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    scratch=$(mktemp -d "$2/.check.XXXXXX") || return
    echo 'int main(void) { return 0; }' >"$scratch/plain.c"
    echo '#include <Python.h>' >"$scratch/python.c"
    # Unquoted: a compiler comes with its options.
    if ! $compiler -c "$scratch/plain.c" -o "$scratch/plain.o" 2>/dev/null; then
        fault "No C compiler ($compiler), and pyradiomics has to be compiled." "apt install gcc g++" \
            "dnf install gcc gcc-c++" "xcode-select --install"
    elif ! $compiler -I"$headers" -c "$scratch/python.c" -o "$scratch/python.o" 2>/dev/null; then
        fault "No headers of Python $found ($headers/Python.h), and pyradiomics has to be compiled." \
            "apt install python$found-dev" "dnf install python$found-devel or python3-devel" "brew install python@$found"
    fi
    rm -rf "$scratch"
}

check_space() {
    free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free" -ge "$2" ] ||
        fault "No space: $2 MB are needed in $1, $free MB are free; make some, or move the checkout to a larger disk." \
            "apt clean" "dnf clean all" "brew cleanup"
}

check_index() {
    "$1" index versions setuptools --disable-pip-version-check --timeout 10 --retries 1 >/dev/null 2>&1 && return
    index=${PIP_INDEX_URL:-$("$1" config get global.index-url 2>/dev/null || echo https://pypi.org/simple)}
    anywhere="look at the network; behind a proxy export HTTPS_PROXY, with a mirror export PIP_INDEX_URL"
    fault "No package index: pip finds nothing at $index." "$anywhere" "the same" "the same"
}

case $1 in
    machine)
        check_python "$2" && {
            check_venv "$2"
            check_compiler "$2" "$3"
        }
        check_space "$3" "$4"
        ;;
    space) check_space "$2" "$3" ;;
    index) check_index "$2" ;;
esac
exit "$faults"
