"""What was said: messages in, turns and their evidence, whose a conversation is, and the frames that show it."""
