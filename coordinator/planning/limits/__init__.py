"""What tasks and providers may use up: caps of a task and a day, limits of a provider, and who stands in for it."""
