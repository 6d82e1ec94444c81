#!/bin/sh
# Makes .venv: every dependency at the version and hash of the lock files, and the workspace's own packages, editable.
# Run through `make setup`, which knows when it is needed. Writes nothing outside the project's folder.
set -eu
cd "$(dirname "$0")/.."

# Downloads are kept inside the project; `make clean` forgets them.
export UV_CACHE_DIR="$PWD/.state/cache/uv" PIP_CACHE_DIR="$PWD/.state/cache/pip"
# Trust what the operating system trusts: behind a company's proxy that is where its certificate is.
export UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV

say() { printf '\033[1m%s\033[0m\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

python_in_use() {
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    fail "Python 3.11 or newer is needed, and $(python3 --version 2>&1 || echo 'no python3') is here:" \
        "run \`sudo apt-get install python3.11 python3.11-venv\`, or name one with PYTHON=/path/to/python."
}

make_environment() {
    python=$(python_in_use)
    # A moved or copied project has an environment whose programs point to its old place.
    if [ "$(.venv/bin/python -c 'import sys; print(sys.prefix)' 2>/dev/null)" = "$PWD/.venv" ]; then
        return
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null || deploy/install-os-packages.sh "$(venv_package "$python")"
    say "Making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
}

venv_package() {
    "$1" -c 'import sys; print("python3-venv" if sys.executable == "/usr/bin/python3" else "python%d.%d-venv" % sys.version_info[:2])'
}

install_dependencies() {
    say "Installing the dependencies of requirements.lock"
    # An environment that uv made has no pip.
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    .venv/bin/python -m pip install --quiet --require-hashes --only-binary :all: -r deploy/requirements-uv.lock
    .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock
    set --
    for project in libs/*/pyproject.toml services/*/pyproject.toml examples/*/pyproject.toml; do
        set -- "$@" --editable "$(dirname "$project")"
    done
    .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation "$@"
}

make_environment
install_dependencies
say "Ready. \`make help\` says what can be done."
