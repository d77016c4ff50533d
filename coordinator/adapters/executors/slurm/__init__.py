"""Slurm as text: scripts and commands out, its answers in. Starts no process itself; one injected function does."""
