"""From a command to running processes: preparation in stages, the engine, the gateway."""
