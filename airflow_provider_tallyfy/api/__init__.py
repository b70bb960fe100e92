"""What the Tallyfy API is, in pure Python: no Airflow, no I/O, no clock, no threads.

=================  ====================================================================================================
``protocol/``      messages, pages, problems; when a request is repeated, how fast, and what may be sent at all
``endpoints/``     one small function per endpoint, a file per resource
``runs/``          flows and rules on runs: read, archive, update, delete, search, labels, the report of a bulk change
``titles.py``      tags, templates, folders, groups and members by what people call them
``templates.py``   a template with its kick-off form and its steps, found by its id or title
``forms/``         answers by label, encoded by the type of their field, and read back
``timestamps.py``  timestamps as Tallyfy writes them, points in time and lengths of time as users give them
=================  ====================================================================================================

A flow is a generator that yields requests and is sent exchanges. It does no I/O, so it serves any transport, and a test
can feed it any answer without a server.
"""
