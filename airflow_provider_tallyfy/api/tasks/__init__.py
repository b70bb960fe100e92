"""Rules on the tasks of runs: find one, read its form, complete it once, comment on it."""
