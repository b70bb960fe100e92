"""How fast, against what, measured side by side: ``make bench``. The figures of the README come from here."""
