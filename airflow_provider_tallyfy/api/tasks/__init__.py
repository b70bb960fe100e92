"""The tasks of runs: find a task, read answers, complete or reopen a task once, comment on it."""
