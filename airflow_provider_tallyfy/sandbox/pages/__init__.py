"""The HTML pages of the sandbox: the runs of the organization at ``/``, and one page per run.

The server renders them, and they load nothing from other hosts. They work without JavaScript. With it, they fetch their
changing part again about every second.
"""

from __future__ import annotations

from airflow_provider_tallyfy.sandbox.pages.site import Site

__all__ = ["Site"]
