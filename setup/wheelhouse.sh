#!/bin/sh
# All that an installation needs as wheels in a folder, for a machine without internet of the same system and Python.
#
#   wheelhouse.sh BIN FOLDER
#
# In it: the wheels, requirements.txt with the SHA-256 of each, SHA256SUMS of everything, and install.sh.
set -eu

bin=$1 folder=$2
setup=$(dirname "$0")
torch=$("$bin/pip" freeze | grep '^torch==')
case $torch in
*+cpu) index="--extra-index-url ${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}" ;;
*) index="" ;;
esac

rm -rf "$folder"
mkdir -p "$folder/wheels"
sed "s/^torch==.*/$torch/" "$setup/constraints.txt" >"$folder/constraints.txt"
# The build of torch that is installed; pip asks an index that cannot be reached in vain, and goes on.
# shellcheck disable=SC2086
"$bin/pip" wheel --quiet --no-build-isolation --wheel-dir "$folder/wheels" --constraint "$folder/constraints.txt" \
    $index --retries 0 --timeout 30 "$torch" ".[postgresql]"
rm "$folder/constraints.txt"
"$bin/python" "$setup/hashed.py" "$folder/wheels" >"$folder/requirements.txt"
cp "$setup/install.sh" "$folder/install.sh"
(cd "$folder" && find . -type f ! -name SHA256SUMS | sort | xargs sha256sum >SHA256SUMS)
echo "$folder: $(find "$folder/wheels" -name '*.whl' | wc -l) wheels, $(du -sh "$folder" | cut -f1)"
