"""The far end: what the coordinator asks of a host that it does not run on. Standard library, Python 3.9."""
