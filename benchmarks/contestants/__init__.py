"""Those who compete, each run as a script in a process of its own."""
