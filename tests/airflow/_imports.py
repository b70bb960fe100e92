"""Prints, as JSON, which modules each given import statement adds after Airflow itself.

Run as a script by test_parsing.py: what has been imported can't be seen in a process where tests have run.
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings


def main() -> None:
    warnings.simplefilter("ignore")
    # What Airflow prints while it is imported is not part of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        # What has been imported in any case wherever DAG files are parsed.
        from airflow import DAG  # noqa: F401
        from airflow.models import Param  # noqa: F401

        answers = {}
        for statement in sys.argv[1:]:
            before = set(sys.modules)
            exec(statement, {})
            answers[statement] = sorted(set(sys.modules) - before)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
