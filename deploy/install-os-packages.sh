#!/bin/sh
# Installs packages of Debian or Ubuntu, and sees to it that no service of theirs starts by itself: RabbitMQ's would take
# the standard ports, while we run a private node. A service that was there before is left as it is.
#
#   deploy/install-os-packages.sh PACKAGE...
set -eu
export PATH="$PATH:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive

if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && command -v apt-get >/dev/null; then
        printf 'Installing %s (sudo may ask for your password)\n' "$*"
        exec sudo sh "$0" "$@"
    fi
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "$* must be installed first: run \`apt-get install $*\` as root, or your system's equivalent." >&2
    exit 1
fi

# The convention by which Debian asks whether a package may start its service: 101 is "no".
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

# One unit a line; nothing where there is no systemd.
start_by_themselves() { systemctl list-unit-files --type=service --state=enabled --no-legend 2>/dev/null | cut -d ' ' -f 1; }

before=$(start_by_themselves)
log=$(mktemp)
printf 'Installing %s\n' "$*"
# A package list that cannot be renewed, perhaps of somebody else's source, need not stop us: the installation decides.
if ! { apt-get update || true; apt-get install --yes --no-install-recommends "$@"; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    echo "Installing $* failed (see above): run \`apt-get install $*\` as root, then try again." >&2
    exit 1
fi
rm -f "$log"

# Nor at the next start of the machine, nor where a policy of the machine's own let it start.
for unit in $(start_by_themselves); do
    printf '%s\n' "$before" | grep -qxF "$unit" || systemctl disable --quiet --now "$unit" 2>/dev/null || true
done
