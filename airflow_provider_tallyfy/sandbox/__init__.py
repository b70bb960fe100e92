"""A Tallyfy organization on loopback: for the demo, for this provider's tests, and for tests of your own DAGs.

It needs aiohttp, which Airflow's HTTP provider installs, but not Airflow itself. It shares no code with the client that
it tests, because tests would not notice a mistake in shared code.
"""

from __future__ import annotations

from airflow_provider_tallyfy.sandbox.behaviour import Behaviour
from airflow_provider_tallyfy.sandbox.every_field import every_field
from airflow_provider_tallyfy.sandbox.faults import Fault
from airflow_provider_tallyfy.sandbox.sample import sample_organization
from airflow_provider_tallyfy.sandbox.sandbox import Sandbox

__all__ = ["Behaviour", "Fault", "Sandbox", "every_field", "sample_organization"]
