"""One answer: the pipeline from a question to a reply, and the lane that lets a conversation have one at a time."""
