"""Pictures of the console, on a gateway with a real search and an engine that only plays one."""
