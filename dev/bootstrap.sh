#!/usr/bin/env bash
# Creates the environments that the make targets run in: dev/bootstrap.sh [main] [sdk] [bench] [e2e] [airflow2] [types] [release]
#
#   .venv      this package (editable), the newest Airflow that is pinned, test and lint tools
#   .venv-sdk  Tallyfy's own Python SDK, which the sandbox is tested with. On its own, because it pins a dependency to
#              one version that Airflow's dependencies don't agree with
#   .venv-bench  this package beside the operators of others, whose cost it is compared with
#   .venv-e2e  as .venv, and what drives a browser and PostgreSQL; those themselves are Debian's
#   .venv-airflow2  this package with the newest Airflow 2 that is pinned
#   .venv-types  basedpyright, which is pyright with all that it needs on the package index. On its own, because the
#              Node.js in it is 200 MB; it looks at what is in .venv
#   .venv-release  what builds and checks a release
#   .venv-uv   uv, which fills the others in seconds where pip takes half a minute
#
# An environment is made anew when what goes into it has changed, and left alone otherwise. Nothing is written outside
# the checkout but the package manager's own cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { printf '%s\n' "$@" >&2; exit 1; }

# A python that starts, is of a version that Airflow knows, and is not itself an environment. pyenv leaves commands on
# PATH that exist and don't run, so each candidate is tried out; its own folder of versions holds those that do.
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
    fail "Python 3.10 to 3.$newest is needed; tried ${PYTHON:-python3, python3.10 to python3.14, and those of pyenv}." \
        "Install one, or name it: PYTHON=/path/to/python3 make ..."
}

# apt_install PACKAGE WHY IT IS NEEDED
# A thing of the system's is put in where that can be done without a question, and asked for otherwise.
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
        "$python can't make virtual environments."
}

ensure_uv() {
    .venv-uv/bin/uv --version >/dev/null 2>&1 && return
    rm -rf .venv-uv
    # Debian's python3 has venv, but not what it takes to put pip into an environment.
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

# Debian keeps PostgreSQL's programs off PATH.
ensure_postgresql() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
        apt_install postgresql "The test of a database outage needs PostgreSQL."
}

# make_venv FOLDER WHAT INPUTS... -- ARGUMENTS OF "uv pip install"
make_venv() {
    local folder=$1 what=$2 inputs=() stamp started
    shift 2
    while [ "$1" != -- ]; do inputs+=("$1"); shift; done
    shift
    # The folder's own path counts, for an environment that was moved doesn't work any more.
    stamp="$folder/.complete-$(
        { cat "${inputs[@]}" dev/bootstrap.sh; printf '%s\n' "$PWD" "$python" "$("$python" -VV)" "$@"; } | cksum | tr -c '0-9\n' '-'
    )"
    [ -e "$stamp" ] && return
    started=$SECONDS
    printf 'Installing %s into %s ...\n' "$what" "$folder"
    ensure_uv
    rm -rf "$folder"
    .venv-uv/bin/uv venv --quiet --no-project --python "$python" "$folder"
    # Compiled, because each Airflow process starts more than twice as fast then, and there are many.
    .venv-uv/bin/uv pip install --quiet --python "$folder/bin/python" --compile-bytecode "$@"
    touch "$stamp"
    printf 'Installed in %d s.\n' "$((SECONDS - started))"
}

python=$(find_python)

# Two makes at the same time would otherwise each remove what the other one has just installed.
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
            make_venv .venv-bench "Airflow and the providers to compare with" pyproject.toml dev/constraints-bench.txt -- \
                --constraint dev/constraints-bench.txt --editable . apache-airflow-providers-dbt-cloud \
                apache-airflow-providers-airbyte airflow-provider-fivetran-async
            ;;
        e2e)
            make_venv .venv-e2e "Airflow and what drives a browser" pyproject.toml dev/constraints-airflow3.txt -- \
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
        *) fail "$0: no environment is called '$name'; there are main, sdk, bench, e2e, airflow2, types and release." ;;
    esac
done
