"""The clients to compare. Each is a script in a separate process."""
