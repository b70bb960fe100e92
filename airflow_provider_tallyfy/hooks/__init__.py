"""Hooks: the Tallyfy API from Python."""
