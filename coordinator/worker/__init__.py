"""The wrapper beside the agent, on any host. Standard library and runfiles alone, Python 3.9 syntax."""
