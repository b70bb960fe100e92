"""What the Tallyfy API is, as pure Python: no Airflow, no sockets, no clock.

The wire:

====================  ================================================================================
``arguments.py``      which values may be sent at all (ids, names, owners, kick-off answers)
``wire.py``           a request to make (:class:`~.wire.Call`) and what can come back
``calls.py``          one small function per endpoint: arguments in, ``Call`` out
``envelope.py``       reading a body: ``{"data": ...}``, pages, broken JSON
``pages.py``          walking a list to its end, by the server's own page count
``problems.py``       which answer means which problem, in the server's words, bounded
``retry.py``          when a request is repeated, and after how long
``pace.py``           how fast many requests may follow each other
====================  ================================================================================

What can be done:

====================  ================================================================================
``reading.py``        read one thing
``restore.py``        archive and activate: act, and settle every doubt by reading
``update.py``         update: read, merge, write, verify (``compare.py`` says what counts as equal)
``associations.py``   tags and folders of a run
``titles.py``         tags and templates by their title
``delete.py``         destroy an archived run for ever
``find.py``           filters that Tallyfy lacks, and a second look at those that it has
``bulk.py``           many runs: which ones, and what became of each
``runs.py``           what a run says about itself: archived, name, members
====================  ================================================================================

A flow of several requests is a generator: it yields each ``Call`` and is sent the
:class:`~.wire.Exchange` that came of it. So each rule is written once and serves any transport.
"""
