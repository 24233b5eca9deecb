"""What search and checks know of words: stems, sentences, facts, names, measures, small talk."""
