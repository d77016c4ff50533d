"""Decisions about jobs of a cluster that are watched, whoever submitted them. Pure."""
