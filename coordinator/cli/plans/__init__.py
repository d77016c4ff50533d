"""Plan files on the command line: check, show, make, run, look."""
