"""Flows and rules for runs ("processes" in Tallyfy's web app)."""
