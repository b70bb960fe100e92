"""Performs the flows of ``api``: sends requests, waits, retries, and raises exceptions."""
