"""Everything we say, pure: comments, pull request, labels, branches, prompt, tasks.md."""
