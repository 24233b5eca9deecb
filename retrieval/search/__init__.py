"""Finding passages for a question: the query of a conversation, fused legs, re-ranking, answerability."""
