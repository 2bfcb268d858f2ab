#!/bin/sh
# What a container of this image does:
#   VERB ...      `arborist VERB ...`
#   head ...      the head of a Ray cluster, on which no engine runs; further words go to `ray start`
#   worker ...    a machine that joins the head at RAY_HEAD
# Only nodes of a cluster leave an address where the health check looks for one.
set -eu

address=${ARBORIST_HEALTH:-/tmp/arborist-health}

case "${1-}" in
head)
    shift
    port=${RAY_PORT:-6379}
    echo "127.0.0.1:$port" >"$address"
    exec ray start --head --block --num-cpus=0 --port="$port" --disable-usage-stats "$@"
    ;;
worker)
    shift
    : "${RAY_HEAD:?the address of the head, HOST:6379}"
    echo "$RAY_HEAD" >"$address"
    exec ray start --block --address="$RAY_HEAD" --disable-usage-stats "$@"
    ;;
*)
    exec arborist "$@"
    ;;
esac
