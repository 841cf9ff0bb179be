"""The command line: one file a command, and what they share. Nobody else reads the process."""
