#!/usr/bin/env bash
# Creates the environments for the make targets:
# dev/bootstrap.sh [main] [sdk] [bench] [e2e] [airflow2] [types] [release]
#
#   .venv      this package (editable), the newest pinned Airflow, test and lint tools
#   .venv-sdk  Tallyfy's own Python SDK, for tests of the sandbox. Separate, because it pins a dependency to a version
#              that conflicts with Airflow's dependencies
#   .venv-bench  this package and other providers, to compare their speed
#   .venv-e2e  the same as .venv, and the drivers for a browser and for PostgreSQL; these two are Debian packages
#   .venv-airflow2  this package with the newest pinned Airflow 2
#   .venv-types  basedpyright, a pyright that needs nothing from outside the package index. Separate, because it
#              includes 200 MB of Node.js; it checks against the packages in .venv
#   .venv-release  tools that build and check a release
#   .venv-uv   uv, which installs the others in seconds; pip takes half a minute
#
# If the inputs of an environment have changed, it is created again. Outside the checkout, this script only writes to
# the package manager's cache, and installs missing Debian packages if it runs as root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { printf '%s\n' "$@" >&2; exit 1; }

# Prints the path of a Python that starts, has a version that Airflow supports, and is not a virtual environment. Each
# candidate is started, because pyenv puts commands on PATH that do not run. Those in pyenv's own folder do.
# find_python [NEWEST MINOR VERSION]
find_python() {
    local newest=${1:-14} candidate candidates=(python3 python3.13 python3.12 python3.11 python3.10 python3.14
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[0-4]*/bin/python3)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        "$candidate" -c '
import sys
if not (3, 10) <= sys.version_info[:2] <= (3, int(sys.argv[1])):
    sys.exit(1)
print(getattr(sys, "_base_executable", sys.executable))' "$newest" 2>/dev/null && return
    done
    fail "Found no Python 3.10 to 3.$newest. Tried ${PYTHON:-python3, python3.10 to python3.14, and those of pyenv}." \
        "Install one, or set its path: PYTHON=/path/to/python3 make ..."
}

# apt_install PACKAGE REASON
# Installs a Debian package if this can be done without a password. Otherwise fails and prints the command.
apt_install() {
    local package=$1 why=$2 output
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        fail "$why On Debian and Ubuntu: sudo apt-get install $package"
    printf 'Installing %s ...\n' "$package"
    output=$(apt-get update -qq 2>&1 && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$package" 2>&1) ||
        fail "$output" "apt-get could not install $package. $why"
}

install_debian_venv() {
    apt_install "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" \
        "$python cannot create virtual environments."
}

ensure_uv() {
    .venv-uv/bin/uv --version >/dev/null 2>&1 && return
    rm -rf .venv-uv
    # Debian's python3 has venv, but not ensurepip, which installs pip into an environment.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_debian_venv
    "$python" -m venv .venv-uv
    .venv-uv/bin/python -m pip install -qq --disable-pip-version-check 'uv>=0.9'
}

ensure_chromium() {
    local command
    for command in chromium chromium-browser google-chrome; do
        command -v "$command" >/dev/null && return
    done
    apt_install chromium "The browser tests need Chromium."
}

# Debian does not put PostgreSQL's programs on PATH.
ensure_postgresql() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
        apt_install postgresql "The test of a database outage needs PostgreSQL."
}

# make_venv FOLDER CONTENTS INPUTS... -- ARGUMENTS OF "uv pip install"
make_venv() {
    local folder=$1 what=$2 inputs=() stamp started
    shift 2
    while [ "$1" != -- ]; do inputs+=("$1"); shift; done
    shift
    # The path of the checkout is an input, because an environment does not work after a move.
    stamp="$folder/.complete-$(
        { cat "${inputs[@]}" dev/bootstrap.sh; printf '%s\n' "$PWD" "$python" "$("$python" -VV)" "$@"; } | cksum | tr -c '0-9\n' '-'
    )"
    [ -e "$stamp" ] && return
    started=$SECONDS
    printf 'Installing %s into %s ...\n' "$what" "$folder"
    ensure_uv
    rm -rf "$folder"
    .venv-uv/bin/uv venv --quiet --no-project --python "$python" "$folder"
    # Compiled, because this makes the many Airflow processes start more than twice as fast.
    .venv-uv/bin/uv pip install --quiet --python "$folder/bin/python" --compile-bytecode "$@"
    touch "$stamp"
    printf 'Installed in %d s.\n' "$((SECONDS - started))"
}

python=$(find_python)

# Without this lock, two makes at the same time would remove each other's environments.
if command -v flock >/dev/null; then
    exec 9>.venv.lock
    flock 9
fi

for name in "${@:-main}"; do
    case $name in
        main)
            make_venv .venv "Airflow and test tools" pyproject.toml dev/constraints-airflow3.txt -- \
                --constraint dev/constraints-airflow3.txt --editable . --group test --group lint
            ;;
        sdk)
            make_venv .venv-sdk "Tallyfy's Python SDK" dev/constraints-sdk.txt -- \
                --constraint dev/constraints-sdk.txt tallyfy
            ;;
        bench)
            make_venv .venv-bench "Airflow and other providers" pyproject.toml dev/constraints-bench.txt -- \
                --constraint dev/constraints-bench.txt --editable . apache-airflow-providers-dbt-cloud \
                apache-airflow-providers-airbyte airflow-provider-fivetran-async
            ;;
        e2e)
            make_venv .venv-e2e "Airflow and the browser driver" pyproject.toml dev/constraints-airflow3.txt -- \
                --constraint dev/constraints-airflow3.txt --editable . --group test --group e2e --group postgres
            ensure_chromium
            ensure_postgresql
            ;;
        airflow2)
            python=$(find_python 12)
            make_venv .venv-airflow2 "Airflow 2" pyproject.toml dev/constraints-airflow2.txt -- \
                --constraint dev/constraints-airflow2.txt --editable . 'apache-airflow<3' --group postgres
            python=$(find_python)
            ;;
        types)
            make_venv .venv-types "pyright" dev/constraints-types.txt -- --constraint dev/constraints-types.txt basedpyright
            ;;
        release)
            make_venv .venv-release "build tools" dev/constraints-release.txt -- --constraint dev/constraints-release.txt \
                build hatchling hatch-fancy-pypi-readme twine 'readme-renderer[md]'
            ;;
        *) fail "$0: there is no environment '$name'. The environments are main, sdk, bench, e2e, airflow2, types and release." ;;
    esac
done
