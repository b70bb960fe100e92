"""Operators: Tallyfy runs in a DAG."""
