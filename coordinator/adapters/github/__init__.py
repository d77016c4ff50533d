"""GitHub: PyGithub lives and dies here, and is loaded only when the first request is sent."""

from coordinator.adapters.github.client import API_URL, GitHubClient

__all__ = ["API_URL", "GitHubClient"]
