#!/bin/sh
# A study through a node that was installed without the extra `research`; ends with 1 where its results do not arrive.
#
#   serving.sh BIN FOLDER      BIN: of the environment; FOLDER/study/dicom: the study; the rest of FOLDER is written
set -eu

bin=$1 folder=$2
for package in scikit-learn lightning-fabric tensorboard python-docx; do
    ! "$bin/pip" show --quiet "$package" 2>/dev/null || { echo "$package is installed: no environment to serve from"; exit 1; }
done
echo "$("$bin/pip" list --format freeze | wc -l) distributions, $(du -sm "$(dirname "$bin")" | cut -f1) MB"

free_port() {
    "$bin/python" -c 'import socket; probe = socket.create_server(("127.0.0.1", 0)); print(probe.getsockname()[1])'
}
node=$(free_port) archive=$(free_port)
printf 'root = "node"\n[listener]\nae_title = "RECTALNODE"\nport = %s\n[completion]\nquiet_s = 2\nsweep_every_s = 1
[[remotes]]\nname = "archive"\nae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = %s\nreceives_results = true\n' "$node" "$archive" >"$folder/node.toml"
printf 'root = "archive"\n[listener]\nae_title = "ARCHIVE"\nport = %s\n' "$archive" >"$folder/archive.toml"

"$bin/python" -c 'from models.engines.processor import computes_bfloat16
from node.cli.installed import FLOAT32
print("" if computes_bfloat16() else f"[analysis]\n{FLOAT32}")' >>"$folder/node.toml"

"$bin/rectal-node" serve --config "$folder/node.toml" >"$folder/node.log" 2>&1 &
serving=$!
"$bin/rectal-node" serve --role listener --config "$folder/archive.toml" >"$folder/archive.log" 2>&1 &
receiving=$!
trap 'kill $serving $receiving 2>/dev/null || true; wait' EXIT

until_so() { # what is waited for, for how many seconds at most, then the command that says whether it is so
    what=$1 left=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        kill -0 $serving && kill -0 $receiving || { echo "a node ended; see $folder/*.log"; exit 1; }
        [ "$left" -gt 0 ] || { echo "not in time: $what; see $folder/node.log"; exit 1; }
        sleep 1
        left=$((left - 1))
    done
}
completed() { # or refused or failed; all that is due has arrived, too
    "$bin/rectal-node" status --json --config "$folder/node.toml" >"$folder/status.json" || return 1
    "$bin/python" - "$folder/status.json" <<'END'
import json, sys
counts = json.load(open(sys.argv[1]))["counts"]
ended = sum(counts["studies"][state] for state in ("COMPLETED", "REFUSED", "FAILED"))
sys.exit(not ended or counts["undelivered"] > 0)
END
}
until_so "the node listens" 120 "$bin/rectal-node" echo RECTALNODE --port "$node"
until_so "the archive listens" 120 "$bin/rectal-node" echo ARCHIVE --port "$archive"
began=$(date +%s)
"$bin/rectal-node" send "$folder/study/dicom" --port "$node"
until_so "the study is analysed and its results have arrived" 900 completed
made=$(find "$folder/archive/objects" -type f | wc -l)
echo "analysed in $(($(date +%s) - began)) s without the laboratory; $made results arrived"
grep -q '"COMPLETED": 1' "$folder/status.json" && [ "$made" -gt 0 ]
