"""Links from Airflow tasks to Tallyfy's web app."""
