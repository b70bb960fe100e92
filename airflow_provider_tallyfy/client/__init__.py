"""Carries flows out: sends requests, waits, repeats, raises."""
