"""What is done with jobs by hand: start, stop, restart, watch. Run files are the whole memory; no store, no GitHub."""
