#!/bin/sh
# A node of a Ray cluster is well while it reaches its head; any other container while it runs.
set -eu

address=${ARBORIST_HEALTH:-/tmp/arborist-health}
[ -f "$address" ] || exit 0
exec ray health-check --address "$(cat "$address")" >/dev/null
