"""What the Tallyfy API is, in pure Python: no Airflow, no I/O, no clock, no threads.

=================  ====================================================================================================
``protocol/``      messages, pages and problems; when to repeat a request, how fast to send, which values may be sent
``endpoints/``     one small function per endpoint, a file per resource
``runs/``          flows and rules for runs: launch, read, archive, update, delete, search, labels, the report of a bulk
                   change
``tasks/``         flows and rules for tasks: read, complete, reopen, comment, answers
``titles.py``      tags, templates, folders, groups and members, looked up by title, name or e-mail address
``templates.py``   a template with its kick-off form and its steps, found by its id or title
``forms/``         answers by label, encoded by the type of their field, and read back
``timestamps.py``  timestamps as Tallyfy writes them; points in time and durations as users write them
=================  ====================================================================================================

A flow is a generator that yields requests and receives exchanges. It does no I/O, so any transport can serve it, and a
test can feed it any answer without a server.
"""
