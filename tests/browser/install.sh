#!/usr/bin/env bash
# Installs what the browser tests need, Debian's Chromium, where it is missing and can be installed.
# Without it they are skipped, and say so; where CI is set, that is a failure.
set -euo pipefail
command -v chromium >/dev/null || command -v chromium-browser >/dev/null && exit 0

missing() {
    echo "browser tests: $1; install Debian's packages chromium and chromium-driver." >&2
    [ -z "${CI:-}" ] && exit 0
    exit 1
}
command -v apt-get >/dev/null || missing "there is neither Chromium nor apt-get"
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
[ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || missing "Chromium is missing, and only root may install it"
export DEBIAN_FRONTEND=noninteractive
{ "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" apt-get install -qq --no-install-recommends chromium chromium-driver; } >/dev/null ||
    missing "Chromium could not be installed"
