"""A pull request that stands becomes a draft: GitHub does it by GraphQL alone. Types and fields are those of its public
schema (PullRequest, convertPullRequestToDraft)."""

from __future__ import annotations

from typing import Any

from coordinator.adapters.github.payloads import Unreadable, fields, text

WHICH = """query($owner: String!, $name: String!, $number: Int!) { repository(owner: $owner, name: $name) {
  pullRequest(number: $number) { id isDraft } } }"""
CONVERT = """mutation($input: ConvertPullRequestToDraftInput!) { convertPullRequestToDraft(input: $input) {
  pullRequest { isDraft } } }"""


def which(data: Any) -> str:
    """The answer to WHICH: what GraphQL calls the pull request, "" for one that is a draft. Raises Unreadable."""
    told = fields(fields(fields(data).get("repository")).get("pullRequest"))
    if not text(told, "id"):
        raise Unreadable("`id` is no text")
    return "" if told.get("isDraft") is True else text(told, "id")
