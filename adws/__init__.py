"""AI developer workflows: data, and the metrics that operators' scripts read."""
