#!/bin/sh
# What the build stages of deploy/Dockerfile run. Nothing of it is in a final image.
#
#   install.sh uv                      the installer, at the version and hash of its own lock
#   install.sh dependencies NAME...    into /opt/venv: what requirements.lock pins for these packages
#   install.sh packages DIRECTORY...   into /opt/app: packages of this repository
set -eu

# Behind a company's proxy its certificate may be needed: docker build --secret id=ca-certificates,src=FILE
if [ -s /run/secrets/ca-certificates ]; then
    export SSL_CERT_FILE=/run/secrets/ca-certificates PIP_CERT=/run/secrets/ca-certificates
fi
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="$PIP_INDEX_URL"
export UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_NO_CONFIG=1
here=$(dirname "$0")

install_uv() {
    python -m venv /opt/build
    /opt/build/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        -r "$here/../requirements-uv.lock"
    locked hatchling
    /opt/build/bin/uv pip install --quiet --python /opt/build/bin/python --require-hashes --only-binary :all: -r /tmp/locked
    # No pip in it, and the code of this repository beside it: the one changes seldom, the other with every commit.
    python -m venv --without-pip /opt/venv
    echo /opt/app >"$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/app.pth"
}

install_dependencies() {
    locked "$@"
    # Wheels only: what has to be compiled here would need a compiler here, and would not be what was locked.
    /opt/build/bin/uv pip install --quiet --python /opt/venv/bin/python --compile-bytecode \
        --require-hashes --only-binary :all: -r /tmp/locked
}

install_packages() {
    # Built in this stage's own environment, whose build backend is locked too.
    VIRTUAL_ENV=/opt/build PATH="/opt/build/bin:$PATH" uv pip install --quiet --target /opt/app \
        --compile-bytecode --no-deps --no-sources --no-build-isolation "$@"
}

locked() {
    python "$here/locked_requirements.py" "$@" <requirements.lock >/tmp/locked
}

command=$1
shift
"install_$command" "$@"
