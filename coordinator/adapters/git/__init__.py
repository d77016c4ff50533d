"""git, hardened: worktrees, commits, push."""
