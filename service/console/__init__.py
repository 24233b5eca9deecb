"""The console: where the people of a brand test its voice, correct answers, train, and look after conversations."""
