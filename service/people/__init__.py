"""People who answer: they take conversations over, in the API or in Slack, and the outside is told."""
