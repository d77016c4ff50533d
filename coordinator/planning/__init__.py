"""Decisions, pure: a snapshot in, actions and waits out. No seam to call, no clock."""
