"""Flows and rules on runs ("processes" in Tallyfy's web app)."""
