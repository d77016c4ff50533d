"""What GitHub does not show of a text between code: comments, attributes, texts of images, titles, hidden elements.

One pass from left to right; what ends something is looked for once, so the time grows with the text and no faster.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping

from coordinator.wording.shown.blocks import COMMENTS, Part
from coordinator.wording.shown.invisible import ENTITY, empty_entity

CHARACTERS, IMAGES = "invisible characters", "descriptions of images"
ELEMENTS, TAGS, ATTRIBUTES = "hidden elements", "tags that show nothing", "attributes of tags"
LABELS, TITLES, LINKS = "labels of links", "titles of links", "links without words"
DEFINITIONS = "definitions that nothing refers to"

_TOKEN = re.compile(r"[\\<&\[\]]|!\[")
_BLANK = re.compile(r"\n[ \t]*\n")
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*)(?=[\s/>])")
_DOUBTFUL = re.compile(r"[`\\$]|~~~|<[!?]|=[ \t]*[\"']")
_QUOTED_END = re.compile(r"\n[ \t>]*$")
"""An end that may be the mark of a quote."""
_BEGINS = re.compile(r"<(?=[A-Za-z/!?])")
_RAW_LINE = re.compile(r"(?m)^[ \t>]*(?:(?:[*+-]|\d{1,9}[.)])[ \t]+)*[ \t>]*<(!|\?|/?[A-Za-z][A-Za-z0-9-]*)")
_RAW_FOR_LONG = frozenset({"!", "?", "pre", "script", "style", "textarea"})
_ODD_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*)")
"""As HTML has it; in Markdown this is text."""
_INNER = re.compile(r"<([A-Za-z][A-Za-z0-9-]*)")
_AUTOLINK = re.compile(r"<(?:[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*|[\w.+-]{1,64}@[\w.-]{1,255})>")
_HREF = re.compile(r"""\bhref\s*=\s*["']?(https?://[^\s"'<>]+)""", re.IGNORECASE)
_SRC = re.compile(r"""\bsrc\s*=\s*["']?(https?://[^\s"'<>]+)""", re.IGNORECASE)
_UNSEEN = re.compile(
    r"(?:^|[\s\"'/])hidden(?=[\s=/\"'>]|$)|display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|opacity\s*:\s*0",
    re.IGNORECASE,
)
_WORDS = re.compile(r"=\s*(?:\"[^\"]*\s[^\"]*\"|'[^']*\s[^']*')")
"""A value of several words: of a size or a class nobody need be told."""
_SHOWN = frozenset(re.findall(
    r"\w+",
    "a abbr b bdo blockquote br caption cite code dd del details dfn div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 "
    "hr i img ins kbd li mark ol p picture pre q rp rt ruby s samp small source span strike strong sub summary sup "
    "table tbody td tfoot th thead time tr tt u ul var wbr",
))
"""Elements that GitHub lets through; of others it shows at most the content."""
_SWALLOWS = frozenset(re.findall(
    r"\w+",
    "audio canvas datalist head iframe math noembed noframes noscript object script style svg template textarea title "
    "video xmp",
))
_VOID = frozenset(re.findall(r"\w+", "area base br col embed hr img input link meta param source track wbr"))
_DEFINITION = re.compile(r"[ \t>]*(?:(?:[*+-]|\d{1,9}[.)])[ \t]+)*[ \t>]*\[((?:[^\[\]\\]|\\.){1,999})\]:[ \t]*(.*)$")
_DESTINATION = re.compile(r"<([^<>]*)>|(\S+)")
_REFERENCE = re.compile(r"\[((?:[^\[\]\\]|\\.){0,999})\]")
_FOOTNOTE = re.compile(r"\[\^([^\]\s]{1,200})\](?!:)")
_SPACE = re.compile(r"[ \t]*\n?[ \t]*")
_POINTED = re.compile(r"<([^<>\n]*)>")
_STOPS = re.compile(r"[()\s\\]")
_LONGEST_LABEL, _DEEPEST = 999, 32
"""Limits of CommonMark and of GitHub's own reader."""
_UNESCAPED = re.compile(r"\\.|[\"')]", re.DOTALL)
_LABEL_BEGINS = re.compile(r"[ \t>]*(?:(?:[*+-]|\d{1,9}[.)])[ \t]+)*[ \t>]*\[[^\[\]]*$")


def visible(parts: Iterable[Part]) -> tuple[str, Counter[str]]:
    """The parts as one text again, and what was left out, by kind."""
    parts, removed, notes = list(parts), Counter[str](), set[str]()
    for part in parts:
        if not part.code:
            notes.update(_FOOTNOTE.findall(part.text))
    defined: dict[str, str] = {}
    texts = [part if part.code else _undefined(part, defined, notes, removed) for part in parts]
    used: set[str] = set()
    reader = _Pass(removed, defined, used)
    text = "\n".join(found for part in texts if (found := reader.read(part)) is not None)
    removed[DEFINITIONS] += len(defined.keys() - used)
    return text, +removed


def _label(words: str) -> str:
    return " ".join(words.casefold().split())


def _undefined(part: Part, defined: dict[str, str], notes: set[str], removed: Counter[str]) -> Part:
    """Without the lines that render nothing by themselves: addresses for references, notes that nothing refers to. The
    places of inline code are kept in step: such a line becomes an empty one of the same length."""
    lines = part.text.split("\n")
    at = 0
    while at < len(lines):
        begun, found = _definition(lines, at)
        if found is None:
            at += 1
            continue
        if found[1].startswith("^"):
            unused = found[1][1:] not in notes
            end = _after_note(lines, at) if unused else at
            removed[DEFINITIONS] += unused
        else:
            end = _after_definition(lines, begun, found[2], found[1], defined)
        for index in range(at, end):
            lines[index] = " " * len(lines[index])
        at = max(end, at + 1)
    return Part("\n".join(lines), spans=part.spans, removed=part.removed)


def _definition(lines: list[str], at: int) -> tuple[int, re.Match[str] | None]:
    """What may be a definition, and its last line: its label may go over several."""
    line = lines[at]
    if _LABEL_BEGINS.match(line):
        while "]" not in line and at + 1 < len(lines) and len(line) <= _LONGEST_LABEL and lines[at + 1].strip():
            at += 1
            line = f"{line} {lines[at]}"
    return at, _DEFINITION.match(line)


def _after_note(lines: list[str], at: int) -> int:
    """The line behind a footnote: its paragraph, and those that are set in."""
    at += 1
    while at < len(lines) and (lines[at].strip() or (at + 1 < len(lines) and lines[at + 1].startswith("    "))):
        at += 1
    return at


def _after_definition(lines: list[str], at: int, rest: str, label: str, defined: dict[str, str]) -> int:
    """The line behind a definition whose label ends on line `at`, and which is noted; 0 where it is none. A title that
    is not seen to end goes on to the next empty line."""
    end = at + 1
    if not rest.strip() and end < len(lines):
        rest, end = lines[end], end + 1
    address = _DESTINATION.match(rest.strip())
    if address is None:
        return 0
    title = rest.strip()[address.end():].strip()
    if title and title[0] not in "\"'(":
        return 0
    if not title and end < len(lines) and lines[end].strip()[:1] in ('"', "'", "("):
        title, end = lines[end].strip(), end + 1
    closing = {"(": ")"}.get(title[:1], title[:1])
    last = title[1:]
    while closing and (not last.endswith(closing) or last.endswith(f"\\{closing}")):
        if end >= len(lines) or not lines[end].strip():
            break
        last, end = lines[end].strip(), end + 1
    words = address[1] if address[1] is not None else address[2]
    defined.setdefault(_label(label), "" if re.search(r"\s", words) else words)
    return end


def _hides(inside: str) -> bool:
    """Whether what was taken for a comment, or for the attributes of a tag, has a tag in it that would hide what
    follows if it were neither."""
    tags = _INNER.findall(inside)
    return bool(tags) and (_UNSEEN.search(inside) is not None or not _SWALLOWS.isdisjoint(map(str.lower, tags)))


class _Ends:
    """Where something comes next. Each kind is looked for once in the whole text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._known: dict[str, list[int]] = {}
        self._closing: dict[str, list[int]] | None = None
        self._raws: list[int] | None = None
        self._raw_for_long = 0
        self._blanks = [match.start() for match in _BLANK.finditer(text)]

    def next(self, words: str, at: int) -> int:
        """-1 where there is none."""
        known = self._known.get(words)
        if known is None:
            known = self._known[words] = [match.start() for match in re.finditer(re.escape(words), self._text)]
        index = bisect_left(known, at)
        return known[index] if index < len(known) else -1

    def unescaped(self, sign: str, at: int) -> int:
        """The next quote or closing bracket without a backslash before it; -1."""
        if self._closing is None:
            self._closing = {}
            for found in _UNESCAPED.finditer(self._text):
                self._closing.setdefault(found[0], []).append(found.start())
        known = self._closing.get(sign, [])
        index = bisect_left(known, at)
        return known[index] if index < len(known) else -1

    def raw(self, at: int) -> bool:
        """Whether this may stand in HTML that is not read as Markdown: from a line that begins with a tag on."""
        if self._raws is None:
            found = [(match.start(), match[1].strip("/").lower() in _RAW_FOR_LONG)
                     for match in _RAW_LINE.finditer(self._text)]
            self._raws = [start for start, _ in found]
            self._raw_for_long = next((start for start, long in found if long), len(self._text))
        index = bisect_right(self._raws, at)
        return self._raw_for_long <= at or (index > 0 and self.blank(self._raws[index - 1]) >= at)

    def blank(self, at: int) -> int:
        """The next empty line, or the end."""
        index = bisect_left(self._blanks, at)
        return self._blanks[index] if index < len(self._blanks) else len(self._text)


class _Pass:
    """Goes over the parts; what a hidden element or a comment without an end began reaches over all that follow."""

    def __init__(self, removed: Counter[str], defined: Mapping[str, str], used: set[str]) -> None:
        self._removed = removed
        self._defined = defined
        self._used = used
        self._hiding, self._depth, self._hidden_from = "", 0, 0
        self._cut = False

    def read(self, part: Part) -> str | None:
        self._removed[part.removed] += bool(part.removed)
        if self._cut or (part.code and self._hiding):
            return None
        if part.code:
            return part.text
        return self._text(part) if part.text else None

    def _text(self, part: Part) -> str:
        self._part, self._ends, self._hidden_from = part, _Ends(part.text), 0
        self._out: list[str] = []
        self._open: list[tuple[int, int, bool]] = []
        text, at, spans = part.text, 0, iter((*part.spans, (len(part.text), len(part.text))))
        code = next(spans)
        found = _TOKEN.search(text)
        while at < len(text) and not self._cut:
            if found is not None and found.start() < at:
                found = _TOKEN.search(text, at)
            stop = found.start() if found else len(text)
            while code[1] <= at and code[0] < len(text):
                code = next(spans)
            if code[0] <= stop and code[0] < len(text):
                self._keep(text[at:code[1]])
                at = code[1]
                continue
            self._keep(text[at:stop])
            if found is None:
                break
            at = self._token(found)
        return "".join(self._out)

    def _keep(self, words: str) -> None:
        if not self._hiding and words:
            self._out.append(words)

    def _token(self, found: re.Match[str]) -> int:
        """Passes over what begins here; the place behind it."""
        text, at, what = self._part.text, found.start(), found[0]
        if what == "<":
            return self._angle(at)
        if self._hiding:
            return found.end()
        if what == "\\":
            end = at + 1 if text[at + 1:at + 2] == "<" else at + 2
            self._keep(text[at:end])
            return end
        if what == "&":
            return self._entity(at)
        if what == "]":
            return self._bracket(at)
        self._open.append((len(self._out), found.end(), what == "!["))
        self._keep(what)
        return found.end()

    def _entity(self, at: int) -> int:
        found = ENTITY.match(self._part.text, at)
        if found is None or not empty_entity(found[0]):
            self._keep("&")
            return at + 1
        self._removed[CHARACTERS] += 1
        return found.end()

    # --- HTML ---

    def _angle(self, at: int) -> int:
        text = self._part.text
        if text.startswith("<!--", at):
            return self._comment(at)
        if text[at + 1:at + 2] in ("!", "?") or (text.startswith("</", at) and not text[at + 2:at + 3].isalpha()):
            return self._declaration(at)
        tag = _TAG.match(text, at) or (_ODD_TAG.match(text, at) if self._ends.raw(at) else None)
        link = _AUTOLINK.match(text, at)
        if link is not None or tag is None:
            self._keep(link[0] if link else "<")
            return link.end() if link else at + 1
        if self._ends.next(">", at) >= 0:
            return self._tag(tag)
        if self._ends.raw(at):
            return self._the_rest(at)
        self._keep("<")
        return at + 1

    def _comment(self, at: int) -> int:
        """One that does not end in its paragraph is no comment there, or hides all that follows: nobody can tell."""
        self._removed[COMMENTS] += 1
        text, end = self._part.text, self._ends.next("-->", at + 4)
        doubt = _hides(text[at + 4:end]) or (self._ends.raw(at) and text.find("\n", at, end) >= 0)
        if 0 <= end < self._ends.blank(at) and not doubt:
            self._swallowed(at, end)
            return end + 3
        return self._the_rest(at)

    def _swallowed(self, at: int, end: int) -> None:
        """If this is neither comment nor tag, a picture may begin in it whose description ends behind it."""
        if not self._hiding and self._part.text.find("![", at, end) >= 0:
            self._open.append((len(self._out), end, True))
            self._out.append("")

    def _declaration(self, at: int) -> int:
        """`<!…>`, `<?…>`, `</…>` with no name: up to its end, unless a tag comes first, which may be one."""
        self._removed[COMMENTS] += 1
        end = self._ends.next(">", at)
        if end < 0 or self._part.text.find("\n", at, end) >= 0:
            return self._the_rest(at)
        tag = None if self._hiding else _BEGINS.search(self._part.text, at + 1, end)
        self._swallowed(at, tag.start() if tag else end)
        return tag.start() if tag else end + 1

    def _the_rest(self, at: int) -> int:
        """Nothing further is shown: it may all be hidden by what begins here."""
        self._drop_pictures(at)
        self._cut = True
        return len(self._part.text)

    def _drop_pictures(self, at: int) -> None:
        """Of a picture whose description goes on where nothing is kept, its begin is not kept either."""
        begun = [place for place, begin, image in self._open if image and self._ends.blank(begin) >= at]
        if begun and not self._hiding:
            del self._out[min(begun):]
            self._open = [one for one in self._open if one[0] < min(begun)]

    def _tag(self, tag: re.Match[str]) -> int:
        end = self._tag_end(tag.end())
        inside, name, closing = self._part.text[tag.end():end], tag[2].lower(), bool(tag[1])
        if end < 0:
            return self._the_rest(tag.start())
        self._swallowed(tag.end(), end)
        if self._hiding:
            if name == self._hiding and name not in _VOID:
                self._depth += -1 if closing else 1
            if not self._depth:
                if _DOUBTFUL.search(self._part.text, self._hidden_from, tag.start()):
                    return self._the_rest(tag.start())   # what closes it may be code
                self._hiding = ""
        elif _BEGINS.search(inside) or _QUOTED_END.search(inside):
            self._removed[ELEMENTS] += 1
            return self._the_rest(tag.start())
        elif name in _SWALLOWS or _UNSEEN.search(inside):
            self._removed[ELEMENTS] += not closing
            if name not in _VOID and not closing:
                self._drop_pictures(tag.start())
                self._hiding, self._depth, self._hidden_from = name, 1, end
        elif name == "img":
            self._image(inside)
        else:
            self._bare(name, inside, closing)
        return end + 1

    def _tag_end(self, at: int) -> int:
        """The place of its `>`, outside of quotes if they end. -1 where they do not, and HTML may make more of it."""
        first = -1 if self._ends.raw(at) else self._ends.next(">", at)
        here = at
        while True:
            end = self._ends.next(">", here)
            quotes = [place for sign in "\"'" if 0 <= (place := self._ends.next(sign, here)) < end]
            if not quotes:
                return end if end >= 0 else first
            opens = min(quotes)
            closes = self._ends.next(self._part.text[opens], opens + 1)
            if closes < 0 or self._ends.next(">", closes) < 0:
                return first
            here = closes + 1

    def _image(self, inside: str) -> None:
        self._removed[IMAGES] += bool(re.search(r"\b(?:alt|title)\s*=\s*[\"']?[^\s\"']", inside, re.IGNORECASE))
        source = _SRC.search(inside)
        self._keep(f"![]({source[1]})" if source else "")

    def _bare(self, name: str, inside: str, closing: bool) -> None:
        if name not in _SHOWN:
            self._removed[TAGS] += 1
            return
        self._removed[ATTRIBUTES] += bool(_WORDS.search(inside))
        address = _HREF.search(inside) if name == "a" and not closing else None
        self._keep(f'<a href="{address[1]}">' if address else f"<{'/' if closing else ''}{name}>")

    # --- links and images ---

    def _bracket(self, at: int) -> int:
        if not self._open:
            return self._closing(at)
        place, begin, image = self._open.pop()
        target = self._target(at, begin)
        if target is None:
            self._keep("]")
            return at + 1
        end, address = target
        said = "".join(self._out[place + 1:])
        if image:
            del self._out[place:]
            self._removed[IMAGES] += bool(said.strip())
            self._keep(f"![]({address})" if address else "")
        elif not said.strip():
            del self._out[place:]
            self._removed[LINKS] += 1
        else:
            self._keep(f"]({address})" if address else "]")
        return end

    def _closing(self, at: int) -> int:
        """A bracket that nothing opened, or that was opened in what was taken for a tag."""
        found = self._inline_target(at + 2) if self._part.text.startswith("(", at + 1) else None
        self._keep(f"]({found[1]})" if found else "]")
        return found[0] if found else at + 1

    def _target(self, at: int, begin: int) -> tuple[int, str] | None:
        """The end of a link whose words end at `at`, and where it leads; None for brackets that are no link."""
        text = self._part.text
        if text.startswith("(", at + 1):
            found = self._inline_target(at + 2)
            if found is not None:
                return found
        reference = _REFERENCE.match(text, at + 1) if self._defined else None
        label = reference[1] if reference else ""
        if self._defined and not label and at - begin <= _LONGEST_LABEL:
            label = text[begin:at]
        known = self._defined.get(_label(label)) if label else None
        if known is None:
            return None
        self._used.add(_label(label))
        self._removed[LABELS] += bool(reference and len(reference[1].split()) > 1)
        return reference.end() if reference else at + 1, known

    def _inline_target(self, at: int) -> tuple[int, str] | None:
        text = self._part.text
        at = self._over_space(at)
        if text.startswith("<", at):
            found = _POINTED.match(text, at)
            if found is None:
                return None
            end, address = found.end(), "" if re.search(r"\s", found[1]) else found[1]
        else:
            end = self._address_end(at)
            address = text[at:end]
        end = self._over_space(end)
        if text[end:end + 1] in ('"', "'", "("):
            closing = self._title_end(end)
            if closing < 0:
                return None
            self._removed[TITLES] += 1
            end = self._over_space(closing + 1)
        return (end + 1, address) if text.startswith(")", end) else None

    def _over_space(self, at: int) -> int:
        """Past blanks and at most one break."""
        found = _SPACE.match(self._part.text, at)
        return found.end() if found else at

    def _title_end(self, at: int) -> int:
        """Where a title ends that begins at `at`; -1 where it does not before an empty line."""
        sign = {"(": ")"}.get(self._part.text[at], self._part.text[at])
        end = self._ends.unescaped(sign, at + 1)
        return end if end < self._ends.blank(at) else -1

    def _address_end(self, at: int) -> int:
        """Behind an address with as many closing brackets as opening ones."""
        depth, here = 0, at
        while (found := _STOPS.search(self._part.text, here)) is not None:
            sign = found[0]
            if sign.isspace() or (sign == ")" and not depth):
                return found.start()
            depth += {"(": 1, ")": -1}.get(sign, 0)
            if depth > _DEEPEST:
                return at
            here = found.end() + (sign == "\\")
        return len(self._part.text)
