"""The options of the command line, one module a command or group; each hands over to its package."""
