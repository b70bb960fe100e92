"""Links from tasks to the Tallyfy web app."""
