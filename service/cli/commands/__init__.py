"""What each command is called and takes: a module a group; what commands do lies in the modules of `service.cli`."""
