"""Forms: the fields of kick-off forms and of tasks, answers by label, encoded for Tallyfy and read back.

================  ================================================================================
``fields.py``     what a form asks: its fields, and which field a key names
``choices.py``    which option of a field an answer means
``assignees.py``  which members, guests and groups an answer names
``entries.py``    the values of an answer that holds several
``values.py``     one answer in the form that the field's type takes, or why it can't be sent
``answers.py``    all answers to a form at once, with all mistakes at once; and the way back
================  ================================================================================
"""

from airflow_provider_tallyfy.api.forms.answers import check_answers, decode, encode, labelled, needs_members
from airflow_provider_tallyfy.api.forms.fields import FormField, Option, fields_of

__all__ = ["FormField", "Option", "check_answers", "decode", "encode", "fields_of", "labelled", "needs_members"]
