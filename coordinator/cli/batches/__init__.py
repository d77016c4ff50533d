"""batch …: jobs or tasks that are judged together, one command a verb."""
