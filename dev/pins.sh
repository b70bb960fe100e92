#!/usr/bin/env bash
# Pins the newest versions of all dependencies anew: dev/pins.sh
#
# Airflow publishes constraints of its own, but not on the package index, and of the day of its release. These are made
# from the index alone, hold no address, and say for each Python version what it gets.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# pin FILE ARGUMENTS OF "uv pip compile", further requirements on standard input
pin() {
    local file=$1
    shift
    # The default header would repeat the command line, and annotations treble the length of every later diff.
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
