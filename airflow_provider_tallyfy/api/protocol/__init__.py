"""The protocol of the Tallyfy API: messages, pages, problems, retries, and how fast to send."""
