"""The commands of the job runner, under each of its names. Each loads what it needs when it runs."""
