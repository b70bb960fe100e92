"""Compares the speed of this provider with the alternatives: ``make bench``. Draws the chart in the README."""
