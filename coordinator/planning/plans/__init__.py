"""Decisions about plan files: their waves, what is wrong with them, which of their tasks may start. Pure."""
