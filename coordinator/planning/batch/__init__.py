"""Decisions about tasks that are judged together: how a batch stands and what follows from it. Pure."""
