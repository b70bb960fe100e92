"""Runs several ``airflow providers`` commands in one process and prints their answers as one JSON object.

test_provider_listed.py runs it, because importing Airflow takes seconds and each command then only milliseconds.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings


def main() -> None:
    warnings.simplefilter("ignore")
    # Output of Airflow during its import is not part of any answer.
    with contextlib.redirect_stdout(sys.stderr):
        from airflow.__main__ import main as airflow

    answers = {}
    for command in sys.argv[1:]:
        printed = io.StringIO()
        sys.argv = ["airflow", "providers", *command.split(), "--output", "json"]
        with contextlib.redirect_stdout(printed):
            airflow()
        answers[command] = json.loads(printed.getvalue())
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
