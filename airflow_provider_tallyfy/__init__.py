"""Apache Airflow provider for Tallyfy: run, watch and tidy up human workflows from a DAG."""

__version__ = "0.1.0"
