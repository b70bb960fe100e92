"""Kick-off forms and task forms: their fields, and answers by label, which are encoded for Tallyfy and decoded.

================  ================================================================================
``fields.py``     the fields of a form, and the field that a key names
``choices.py``    the option that an answer chooses
``assignees.py``  the members, guests and groups that an answer names
``entries.py``    the values of an answer that has several
``values.py``     one answer, encoded and decoded by the type of its field
``answers.py``    all answers to a form, encoded with all mistakes reported at once, and decoded
================  ================================================================================
"""

from airflow_provider_tallyfy.api.forms.answers import check_answers, decode, decode_forms, encode, needs_members
from airflow_provider_tallyfy.api.forms.fields import FormField, Option, fields_of

__all__ = ["FormField", "Option", "check_answers", "decode", "decode_forms", "encode", "fields_of", "needs_members"]
