"""The sandbox as a person sees it: the organization's runs at ``/``, and one page per run.

Rendered here, useful without a script, and without anything from elsewhere. Where a script may run, it fetches the
same page's changing part again every second or so.
"""

from __future__ import annotations

from airflow_provider_tallyfy.sandbox.pages.site import Site

__all__ = ["Site"]
