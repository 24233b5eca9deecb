"""Which way a message takes: small talk, a person, a question asked back, an intent, or the search."""
