"""How one talks to the Tallyfy API: messages, pages, problems, when to repeat, how fast."""
