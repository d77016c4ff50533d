"""How an agent's own stream says that its run went. The wrapper imports it only once the agent has ended: json and re
would stand in memory beside every agent else. Standard library alone, Python 3.9."""
