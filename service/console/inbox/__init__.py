"""The inbox: conversations as they come, canned replies, refused questions."""
