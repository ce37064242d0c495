#!/bin/sh
# User-space instructions a message: the slope between two runs of load under callgrind, so that starting and stopping do not count.
#
#   benches/instructions.sh 'target/release/cooee serve -q tcp://127.0.0.1:{port}' [CONNECTIONS]
#
# It needs valgrind. The server is slow under it, so events come in large batches; the load is `cooee load`, outside of it.
set -eu
command=$1 connections=${2:-50}
cooee=${COOEE:-target/release/cooee}
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

# Sets `counted` to the instructions of a server that has answered so many messages, and a first one.
count() {
    port=$((20000 + $$ % 10000 + $1 / 20000))
    # shellcheck disable=SC2046 # the command is split into words, on purpose
    valgrind --tool=callgrind --callgrind-out-file="$folder/out" $(printf %s "$command" | sed "s/{port}/$port/g") >"$folder/log" 2>&1 &
    server=$!
    tries=0
    until "$cooee" load -q -n 1 --warmup 0s "tcp://127.0.0.1:$port" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { cat "$folder/log" >&2; exit 1; }
        sleep 0.2
    done
    "$cooee" load -q -c "$connections" -n "$1" --warmup 0s "tcp://127.0.0.1:$port" >"$folder/load" || { cat "$folder/load" >&2; exit 1; }
    kill -TERM "$server"
    wait "$server" 2>/dev/null || true
    server=
    counted=$(awk '/^(summary|totals):/ { print $2; exit }' "$folder/out")
}

count 20000
few=$counted
count 60000
many=$counted
echo "$(((many - few) / 40000)) instructions a message ($few for 20,000 messages, $many for 60,000)"
