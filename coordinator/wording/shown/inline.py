"""What GitHub does not show of a text between code: comments, attributes, texts of images, titles, hidden elements.

One pass from left to right; what ends something is looked for once, so the time grows with the text and no faster.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from coordinator.wording.shown import definitions
from coordinator.wording.shown.blocks import COMMENTS, Part
from coordinator.wording.shown.definitions import DEFINITIONS, LONGEST_LABEL, label
from coordinator.wording.shown.ends import Ends
from coordinator.wording.shown.invisible import ENTITY, empty_entity
from coordinator.wording.shown.unseen import Unseen, Veil

CHARACTERS, IMAGES = "invisible characters", "descriptions or addresses of images"
ELEMENTS, TAGS, ATTRIBUTES = "hidden elements", "tags that show nothing", "attributes of tags"
LABELS, TITLES, LINKS = "labels of links", "titles of links", "links without words"

_TOKEN = re.compile(r"[\\<&\[\]]|!\[")
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*)(?=[\s/>])")
_DOUBTFUL = re.compile(r"[`\\$|]|~~~|<[!?]|=[ \t]*[\"']|\[\^")
"""Signs of what a tag may be no tag in."""
_QUOTED_END = re.compile(r"\n[ \t>]*$")
"""An end that may be the mark of a quote."""
_BEGINS = re.compile(r"<(?=[A-Za-z/!?])")
_ODD_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*)")
"""As HTML has it; in Markdown this is text."""
_INNER = re.compile(r"<([A-Za-z][A-Za-z0-9-]*)")
_AUTOLINK = re.compile(r"<(?:[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*|[\w.+-]{1,64}@[\w.-]{1,255})>")
_HREF = re.compile(r"""\bhref\s*=\s*["']?(https?://[^\s"'<>]+)""", re.IGNORECASE)
_SRC = re.compile(r"""\bsrc\s*=\s*["']?(https?://[^\s"'<>]+)""", re.IGNORECASE)
_DESCRIBED = re.compile(r"\b(?:alt|title|src)\s*=\s*[\"']?[^\s\"']", re.IGNORECASE)
_UPLOADED = re.compile(
    r"https://(?:github\.com/user-attachments/assets/|user-images\.githubusercontent\.com/\d{1,12}/\d{1,12}-)"
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.(?:png|jpe?g|gif))?"
)
"""The address that GitHub gives to a picture that is dropped into an issue: no word has room in it."""
_UNSEEN = re.compile(
    r"(?:^|[\s\"'/])hidden(?=[\s=/\"'>]|$)|display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|opacity\s*:\s*0",
    re.IGNORECASE,
)
_WORDS = re.compile(r"=\s*(?:\"[^\"\s]*\s[^\"]*\"|'[^'\s]*\s[^']*')")
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
_REFERENCE = re.compile(r"\[((?:[^\[\]\\]|\\.){0,999})\]")
_NOTED = re.compile(r"\^[^\[\]\s\\]+\]")
_SPACE = re.compile(r"[ \t]*\n?[ \t]*")
_POINTED = re.compile(r"<([^<>\n]*)>")
_STOPS = re.compile(r"[()\s\\]")
_DEEPEST = 32
"""A limit of GitHub's own reader."""


def visible(parts: Iterable[Part]) -> tuple[str, Counter[str]]:
    """The parts as one text again, and what was left out, by kind."""
    defined: dict[str, str] = {}
    parts = list(parts)
    notes = [() if part.code else tuple(definitions.notes(part)) for part in parts]
    parts = [part if part.code else definitions.undefined(part, defined) for part in parts]
    referred = frozenset[str]()
    if any(notes):
        first = _Pass(defined)
        for part, of_part in zip(parts, notes, strict=True):
            first.read(_without(part, of_part))
        referred = frozenset(first.referred)
    known: set[str] = set()
    reader = _Pass(defined)
    kept = []
    for part, of_part in zip(parts, notes, strict=True):
        unseen: list[definitions.Note] = []
        for note in of_part:
            if not referred.issuperset(note.labels) or not known.isdisjoint(note.labels):
                unseen.append(note)
            known.update(note.labels)
        kept.append(reader.read(_without(part, unseen)))
    removed = reader.removed
    removed[DEFINITIONS] += len(defined.keys() - reader.used)
    return "\n".join(text for text in kept if text is not None), +removed


def _without(part: Part, notes: Iterable[definitions.Note]) -> Part:
    unseen = (*part.unseen, *(Unseen(note.begin, note.end, DEFINITIONS) for note in notes))
    return replace(part, unseen=tuple(sorted(unseen)))


def _hides(inside: str) -> bool:
    """Whether what was taken for a comment, or for the attributes of a tag, has a tag in it that would hide what
    follows if it were neither."""
    tags = _INNER.findall(inside)
    return bool(tags) and (_UNSEEN.search(inside) is not None or not _SWALLOWS.isdisjoint(map(str.lower, tags)))


class _Pass:
    """Goes over the parts; what a hidden element or a comment without an end began reaches over all that follow.

    `removed` counts what was left out by kind, `used` are the labels of definitions, `referred` those of footnotes."""

    def __init__(self, defined: Mapping[str, str]) -> None:
        self.removed = Counter[str]()
        self.used: set[str] = set()
        self.referred: set[str] = set()
        self._defined = defined
        self._hiding, self._depth, self._hidden_from = "", 0, 0
        self._cut = False

    def read(self, part: Part) -> str | None:
        self.removed[part.removed] += bool(part.removed)
        if self._cut or (part.code and self._hiding):
            return None
        if part.code:
            return part.text
        return self._text(part) if part.text else None

    def _text(self, part: Part) -> str:
        self._part, self._ends, self._veil, self._hidden_from = part, Ends(part.text), Veil(part.unseen), 0
        self.removed.update(place.kind for place in part.unseen if place.kind)
        self._out: list[str] = []
        self._open: list[tuple[int, int, bool]] = []
        self._pictures: list[tuple[int, int]] = []
        self._notes: list[tuple[int, str]] = []
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
                stop = code[1]
            self._words(at, stop)
            at = stop
            if found is not None and found.start() == at:
                at = self._seen(found)
        self.referred.update(name for _, name in self._notes)
        return "".join(self._out)

    def _words(self, at: int, stop: int) -> None:
        for words in self._veil.over(self._part.text, at, stop):
            self._keep(words)

    def _seen(self, found: re.Match[str]) -> int:
        """Passes over what begins here; of what stands in part where nothing is shown, nothing is kept."""
        self._kept = False
        end = self._token(found)
        if self._kept and self._veil.touches(found.start(), end):
            self._out[-1] = ""
        return end

    def _keep(self, words: str) -> None:
        if not self._hiding and words:
            self._out.append(words)
            self._kept = True

    def _back(self, place: int) -> None:
        """Nothing is kept from this place of what was kept on."""
        del self._out[place:]
        while self._notes and self._notes[-1][0] >= place:
            self._notes.pop()

    def _begin(self, begin: int, image: bool) -> None:
        """Notes that what is kept next may be the words of a link, or the description of an image."""
        if image:
            self._pictures.append((begin, len(self._open)))
        self._open.append((len(self._out), begin, image))

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
        self._begin(found.end(), what == "![")
        self._keep(what)
        return found.end()

    def _entity(self, at: int) -> int:
        found = ENTITY.match(self._part.text, at)
        if found is None or not empty_entity(found[0]):
            self._keep("&")
            return at + 1
        self.removed[CHARACTERS] += 1
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
        self.removed[COMMENTS] += 1
        text, end = self._part.text, self._ends.next("-->", at + 4)
        doubt = _hides(text[at + 4:end]) or (self._ends.raw(at) and text.find("\n", at, end) >= 0)
        if 0 <= end < self._ends.blank(at) and not doubt:
            self._swallowed(at, end)
            return end + 3
        return self._the_rest(at)

    def _swallowed(self, at: int, end: int) -> None:
        """If this is neither comment nor tag, a picture may begin in it whose description ends behind it."""
        if not self._hiding and self._part.text.find("![", at, end) >= 0:
            self._begin(end, image=True)
            self._out.append("")

    def _declaration(self, at: int) -> int:
        """`<!…>`, `<?…>`, `</…>` with no name: up to its end, unless something comes first that may be a tag."""
        self.removed[COMMENTS] += 1
        end = self._ends.next(">", at)
        tag = not self._hiding and _BEGINS.search(self._part.text, at + 1, end)
        if end < 0 or tag or 0 <= self._ends.next("\n", at) < end:
            return self._the_rest(at)
        self._swallowed(at, end)
        return end + 1

    def _the_rest(self, at: int) -> int:
        """Nothing further is shown: it may all be hidden by what begins here."""
        self._drop_pictures(at)
        self._cut = True
        return len(self._part.text)

    def _drop_pictures(self, at: int) -> None:
        """Of a picture whose description goes on where nothing is kept, its begin is not kept either."""
        first = bisect_right(self._pictures, (self._ends.paragraph(at), len(self._open)))
        if first < len(self._pictures) and not self._hiding:
            index = self._pictures[first][1]
            self._back(self._open[index][0])
            del self._open[index:], self._pictures[first:]

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
            self.removed[ELEMENTS] += 1
            return self._the_rest(tag.start())
        elif name in _SWALLOWS or _UNSEEN.search(inside):
            self.removed[ELEMENTS] += not closing
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
        end = self._ends.unquoted(at)
        return end if end >= 0 or self._ends.raw(at) else self._ends.next(">", at)

    def _image(self, inside: str) -> None:
        source = _SRC.search(inside)
        self._picture(source[1] if source else "", bool(_DESCRIBED.search(inside)))

    def _picture(self, address: str, described: bool) -> None:
        """Only an address that can hold no words is kept."""
        uploaded = _UPLOADED.fullmatch(address) is not None
        self.removed[IMAGES] += described or bool(address and not uploaded)
        self._keep(f"![]({address})" if uploaded else "(image)")

    def _bare(self, name: str, inside: str, closing: bool) -> None:
        if name not in _SHOWN:
            self.removed[TAGS] += 1
            return
        self.removed[ATTRIBUTES] += bool(_WORDS.search(inside))
        address = _HREF.search(inside) if name == "a" and not closing else None
        self._keep(f'<a href="{address[1]}">' if address else f"<{'/' if closing else ''}{name}>")

    # --- links and images ---

    def _bracket(self, at: int) -> int:
        if not self._open:
            return self._closing(at)
        place, begin, image = self._open.pop()
        if image:
            self._pictures.pop()
        target = self._target(at, begin)
        if target is None:
            if not image and self._refers(begin, at):
                self._notes.append((len(self._out), label(self._part.text[begin + 1:at])))
            self._keep("]")
            return at + 1
        end, address = target
        said = any(self._out[index].strip() for index in range(place + 1, len(self._out)))
        if image:
            self._back(place)
            self._picture(address, said)
        elif not said:
            self._back(place)
            self.removed[LINKS] += 1
        else:
            self._keep(f"]({address})" if address else "]")
        return end

    def _refers(self, begin: int, at: int) -> bool:
        """Whether this is beyond doubt a reference to a footnote, and shown."""
        text, plain = self._part.text, self._part.plain
        index = bisect_right(plain, (begin, len(text))) - 1
        return (_NOTED.match(text, begin, at + 1) is not None and not text.startswith((":", "(", "["), at + 1)
                and index >= 0 and at < plain[index][1] and not self._veil.touches(begin - 1, at + 1))

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
        name = reference[1] if reference else ""
        if self._defined and not name and at - begin <= LONGEST_LABEL:
            name = text[begin:at]
        known = self._defined.get(label(name)) if name else None
        if known is None:
            return None
        self.used.add(label(name))
        self.removed[LABELS] += bool(reference and len(reference[1].split()) > 1)
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
            self.removed[TITLES] += 1
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
