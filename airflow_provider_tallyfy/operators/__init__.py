"""Operators: work on Tallyfy runs from a DAG."""
