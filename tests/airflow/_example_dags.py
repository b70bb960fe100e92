"""Prints, as JSON, the DAGs in each given file and the warnings during its import.

test_examples.py runs it in a separate process, because Python shows an import warning only once per process.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import warnings
from pathlib import Path


def main() -> None:
    answers = {}
    # Output of Airflow during its import is not part of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from airflow import DAG
        for path in map(Path, sys.argv[1:]):
            spec = importlib.util.spec_from_file_location(path.stem, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                spec.loader.exec_module(module)
            # Airflow and its dependencies also warn about each other during their import. We cannot fix that.
            ours = [str(warning.message) for warning in caught if _is_ours(warning.filename, path)]
            dags = [dag.dag_id for dag in vars(module).values() if isinstance(dag, DAG)]
            answers[path.stem] = {"dags": dags, "warnings": ours}
    json.dump(answers, sys.stdout)


def _is_ours(filename: str, path: Path) -> bool:
    return filename == str(path) or "airflow_provider_tallyfy" in Path(filename).parts


if __name__ == "__main__":
    main()
