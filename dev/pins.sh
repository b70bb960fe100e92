#!/usr/bin/env bash
# Pins the newest versions of all dependencies: dev/pins.sh
#
# Airflow's own constraints are not on the package index, and date from the day of its release. These files come from the
# index alone, contain no URL, and hold the versions for every Python version.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# pin FILE ARGUMENTS OF "uv pip compile"; reads more requirements from standard input
pin() {
    local file=$1
    shift
    # The default header repeats the command line, and annotations make every later diff three times as long.
    .venv-uv/bin/uv pip compile - "$@" --quiet --universal --python-version 3.10 --no-header --no-annotate \
        --output-file "$file.new" >/dev/null
    mv "$file.new" "$file"
    printf '%s: %d packages\n' "$file" "$(wc -l <"$file")"
}

echo 'apache-airflow>=2.11,<3' | pin dev/constraints-airflow2.txt pyproject.toml --group test --group postgres
echo 'apache-airflow>=3' | pin dev/constraints-airflow3.txt pyproject.toml --group test --group lint --group e2e --group postgres
echo 'tallyfy>=3.1,<4' | pin dev/constraints-sdk.txt
echo basedpyright | pin dev/constraints-types.txt
printf '%s\n' apache-airflow-providers-dbt-cloud apache-airflow-providers-airbyte airflow-provider-fivetran-async |
    pin dev/constraints-bench.txt pyproject.toml --constraint dev/constraints-airflow3.txt
printf '%s\n' build hatchling hatch-fancy-pypi-readme twine 'readme-renderer[md]' | pin dev/constraints-release.txt
