"""What in a text looks like a secret: the detectors of detect-secrets, called as plain patterns. None of them asks a
maker whether a key is good, and no comment in the text switches them off, since a worker wrote it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate, chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin
    from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin

Numbered = tuple[int, str]
Hit = tuple[int, str, bool]
"""(line, kind, whether it is sure)."""

KNOWN = "a secret of this host"
SHORTEST = 16
"""Characters of a known value that is looked for: a shorter one may be a plain word."""
PIECE, OVERLAP = 1000, 200
"""A line is looked at in pieces: some patterns take the square of its length, and no key is longer than the overlap."""
AT_ONCE = 1 << 18
"""Characters that a pattern sees in one go: the other threads wait meanwhile."""
LEAST_RANDOM = 16
"""Characters of a string whose randomness is measured."""


class Scanner:
    """`known` are values that count as secrets wherever they stand."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        plain = (_plain(value).strip() for value in known)
        self._known = tuple(value for value in plain if len(value) >= SHORTEST and re.search("[0-9]", value))

    def find(self, path: str, lines: Sequence[Numbered]) -> Iterator[Hit]:
        """Each line and kind once."""
        seen = set()
        for hit in chain(self._values(lines), _shapes(path, lines)):
            if hit not in seen:
                seen.add(hit)
                yield hit

    def _values(self, lines: Sequence[Numbered]) -> Iterator[Hit]:
        """In the whole text: a value may be of any length, and of several lines; it is told by the first of them."""
        texts = [_plain(line) for _, line in lines] if self._known else []
        whole, ends = "\n".join(texts), [*accumulate(len(text) + 1 for text in texts)]
        for value in self._known:
            at = whole.find(value)
            while at >= 0:
                yield lines[bisect_right(ends, at)][0], KNOWN, True
                at = whole.find(value, at + len(value))


def _shapes(path: str, lines: Sequence[Numbered]) -> Iterator[Hit]:
    for block in _blocks(_pieces(lines)):
        text = "\n".join(piece for _, piece in block)
        yield from _sure(block, text)
        yield from _doubtful(path, block, text)


def _plain(text: str) -> str:
    """NULs are left out: text in two bytes a letter, and what is taken for binary for one of them, is read too. So is
    what else may stand at the end of a line."""
    return text.replace("\0", "").replace("\r", "")


def _pieces(lines: Sequence[Numbered]) -> Iterator[Numbered]:
    for number, line in lines:
        plain = _plain(line)
        for start in range(0, max(1, len(plain) - OVERLAP), PIECE - OVERLAP):
            yield number, plain[start : start + PIECE]


def _blocks(pieces: Iterable[Numbered]) -> Iterator[list[Numbered]]:
    block: list[Numbered] = []
    size = 0
    for one in pieces:
        block.append(one)
        size += len(one[1]) + 1
        if size >= AT_ONCE:
            yield block
            block, size = [], 0
    if block:
        yield block


def _sure(block: Sequence[Numbered], text: str) -> Iterator[Hit]:
    for plugin in _detectors():
        yield from ((number, plugin.secret_type, True) for number in _where(plugin, block, text))
    for kind, pattern in _YOUNG.items():
        if pattern.search(text):
            yield from ((number, kind, True) for number, piece in block if pattern.search(piece))


def _doubtful(path: str, block: Sequence[Numbered], text: str) -> Iterator[Hit]:
    from detect_secrets.filters.heuristic import is_lock_file, is_potential_uuid, is_sequential_string

    for plugin in _hints():
        yield from ((number, plugin.secret_type, False) for number in _where(plugin, block, text))
    if is_lock_file(path):
        return
    for measure in _measures():
        for number, piece in block:
            if any(len(value) >= LEAST_RANDOM and measure.calculate_shannon_entropy(value) > measure.entropy_limit
                   and not is_potential_uuid(value) and not is_sequential_string(value)
                   for value in measure.analyze_string(piece)):
                yield number, measure.secret_type, False


def _where(plugin: BasePlugin, block: Sequence[Numbered], text: str) -> Iterator[int]:
    if any(True for _ in plugin.analyze_string(text)):
        yield from (number for number, piece in block if any(True for _ in plugin.analyze_string(piece)))


_YOUNG = {
    "GitHub Token": re.compile(r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    "Anthropic Token": re.compile(r"sk-ant-[a-z]{2,10}\d\d-[A-Za-z0-9_-]{40,}"),
}
"""Makers' shapes that detect-secrets 1.5 does not know yet, of keys that stand near a worker."""


@cache
def _detectors() -> tuple[BasePlugin, ...]:
    """Those whose shape belongs to one maker."""
    from detect_secrets.plugins import (
        aws,
        azure_storage_key,
        cloudant,
        discord,
        github_token,
        gitlab_token,
        ibm_cloud_iam,
        ibm_cos_hmac,
        mailchimp,
        npm,
        openai,
        private_key,
        pypi_token,
        sendgrid,
        slack,
        softlayer,
        square_oauth,
        stripe,
        telegram_token,
        twilio,
    )

    return (
        aws.AWSKeyDetector(), azure_storage_key.AzureStorageKeyDetector(), cloudant.CloudantDetector(),
        discord.DiscordBotTokenDetector(), github_token.GitHubTokenDetector(), gitlab_token.GitLabTokenDetector(),
        ibm_cloud_iam.IbmCloudIamDetector(), ibm_cos_hmac.IbmCosHmacDetector(), mailchimp.MailchimpDetector(),
        npm.NpmDetector(), openai.OpenAIDetector(), private_key.PrivateKeyDetector(), pypi_token.PypiTokenDetector(),
        sendgrid.SendGridDetector(), slack.SlackDetector(), softlayer.SoftlayerDetector(),
        square_oauth.SquareOAuthDetector(), stripe.StripeDetector(), telegram_token.TelegramBotTokenDetector(),
        twilio.TwilioKeyDetector(),
    )  # fmt: skip


@cache
def _hints() -> tuple[BasePlugin, ...]:
    """Those that meet examples and plain words as well."""
    from detect_secrets.plugins import artifactory, basic_auth, jwt

    return artifactory.ArtifactoryDetector(), basic_auth.BasicAuthDetector(), jwt.JwtTokenDetector()


@cache
def _measures() -> tuple[HighEntropyStringsPlugin, ...]:
    from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString, HexHighEntropyString

    return Base64HighEntropyString(), HexHighEntropyString()
