"""The one subprocess funnel, the clock, files, processes."""
