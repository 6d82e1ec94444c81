#!/bin/sh
# Whether Prometheus accepts its configuration and rules, and whether every alert fires when it should (tests/). Says nothing if so.
set -eu
cd "$(dirname "$0")"

if ! command -v promtool >/dev/null; then
    echo "Alert rules were not checked: there is no promtool (Debian's package prometheus)."
    exit 0
fi
said=$(promtool check config prometheus.yml 2>&1 && promtool test rules tests/*.yml 2>&1) || {
    printf '%s\n' "$said" >&2
    exit 1
}
