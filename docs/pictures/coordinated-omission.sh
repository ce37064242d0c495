#!/usr/bin/env bash
# Measures one stop of a server three ways, and makes the table and the picture of docs/load-figures.md from it.
#
#   bash docs/pictures/coordinated-omission.sh [FOLDER]    leaves the reports and the picture there, or in a new temporary folder
#   REPLACE=1 bash docs/pictures/coordinated-omission.sh   replaces the picture of the page, too
#
# A server is stopped for two seconds in a run of ten: once in a closed loop, once in an open loop, which tells its latencies both from
# the due time and from the send. Each runs on a core of its own where there are two; and the generator with real-time priority where that is
# allowed, for on a machine that has other work to do it leaves too late, and says that its figures are not to be trusted.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cooee=${COOEE:-$here/../../target/release/cooee}
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"
cd "$folder"

# The processors that may be used here: in a container they need not begin at 0.
mapfile -t cores < <(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)), sep="\n")')
pinned() {
    local core=$1
    shift
    if ((${#cores[@]} > 1)); then exec taskset -c "${cores[$core]}" "$@"; else exec "$@"; fi
}

realtime=()
chrt -f 1 true 2>/dev/null && realtime=(chrt -f 1)

pinned 0 "$cooee" serve tcp://127.0.0.1:0 >listening &
server=$!
load=
# A stopped process takes its SIGTERM when it goes on.
trap 'kill $load $server 2>/dev/null; kill -CONT $server 2>/dev/null' EXIT
until grep -q listening listening; do sleep 0.1; done
endpoint=$(grep -o 'tcp://[^ ]*' listening)

# measure FILE [OPTION of cooee load]...
measure() {
    pinned 1 "${realtime[@]}" "$cooee" load -c 5 -d 10s --json "$@" "$endpoint" >/dev/null &
    load=$!
    sleep 5 # the warm-up, and four seconds of measuring
    kill -STOP $server
    sleep 2
    kill -CONT $server
    wait $load
    load=
}

measure 'closed loop'
measure 'open, from due' -R 1000

# The same run, read from the send: what would have been told without the schedule.
python3 - <<'PYTHON'
import json
report = json.load(open("open, from due"))
report["latency_us"], report["histogram"] = report["send_latency_us"], report["send_histogram"]
json.dump(report, open("open, from send", "w"))
PYTHON

"$cooee" report --side-by-side 'closed loop' 'open, from send' 'open, from due' --html page.html
python3 "$here/picture.py" page.html 'Latency by percentile' >coordinated-omission.svg
echo "the picture: $PWD/coordinated-omission.svg"
if [[ ${REPLACE:-} == 1 ]]; then cp coordinated-omission.svg "$here/"; fi
