"""What GitHub does not show: left out with every trick there is, in a time that grows with the text and no faster."""

from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from coordinator.wording.plan_md.mini import mini_plan
from coordinator.wording.shown import left_out, shown, shown_title
from coordinator.wording.shown.invisible import hidden
from tests.hostile.corpus import BODIES, ISSUES, SECRET
from tests.support.figures import count

MUCH = 10**6
UPLOADED = "https://github.com/user-attachments/assets/01234567-89ab-cdef-0123-456789abcdef"
KEPT = [
    "Plain *words*, a < b && c > d, e-mail@example.invalid, 5 * 3 and `code`.\n\n- [ ] a box\n- [x] done",
    "```html\n<!-- shown --> <div hidden>\n```",
    '~~~\n![shown](x "shown")\n~~~\nafter',
    "see `<!-- shown -->` and ``a`b``",
    '  ```js\n  <b title="x">\n  ```',
    "[words](https://example.invalid/a_(b)?c=d#e)",
    "<https://example.invalid/x>",
    "a &lt;b&gt; &amp; &copy; &nbsp;c",
    "<details><summary>More</summary>\n\nshown\n\n</details>",
    "a[i] = b[j](k)",
    "note[^1] and[^A]\n\n[^1]: kept\n[^a]: kept\n\n    too",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "> a \\| b | c\n> :-- | -\n> 1 | 2 |  | |\n\nx | y | z\nno | table | here\n---\nmore | of | it",
    "````md\n```mermaid\n%% shown\n```\n````\n```mathematica\nshown\n```",
    "$x_1$ for $5, 20% of $6\n\nfrom `$HOME\\bin` to `$PATH` by 5%",
    f"![]({UPLOADED})",
    "\\[not a link\\] and \\!",
    "$x < y$ and $5",
    "Ünïcödé – “quotes” … 日本語 한국어 עברית",
]
GONE = {
    "a <!-- x --> b": "a  b",
    "a\n\n<!-- x\n\ny": "a",
    "![alt](u)": "(image)",
    "![alt][r]\n\n[r]: u": "(image)",
    "[![](u)](v)": "[(image)](v)",
    f'<img alt="x" src="{UPLOADED}">': f"![]({UPLOADED})",
    f"![]({UPLOADED}x)": "(image)",
    "|a|\n|-|\n|b|c|\nd|e": "|a|\n|-|\n|b|\nd|",
    "a|b\n-|-\n[c](d|e|f)g": "a|b\n-|-\n[c",
    "```mermaid\nx\n```\ny": "(mermaid, not shown here)\ny",
    "- ```math\n  x\n  ```\n\ny": "- (math, not shown here)\n\n\n\ny",
    "a $\\b$, c $\\d$": "a (formula, not shown here), c (formula, not shown here)",
    "$$\nb % c\n$$ d": "(formula, not shown here) d",
    "a[^1] `[^2]`\n\n[^1]: b\n[^2]: c\n[^1]: d": "a[^1] `[^2]`\n\n[^1]: b",
    "[w](u 'x')": "[w](u)",
    '[w](u "x\\\\")': "[w](u)",
    "[w][r]\n\n[r]: u (x)": "[w](u)",
    "[r]\n\n[r]:\nu\n'x\ny'": "[r](u)",
    '[f\noo]: u "x"\n\nok': "ok",
    '<p align="x y">w</p>': "<p>w</p>",
    '<a href="https://a.invalid" title="x y">w</a>': '<a href="https://a.invalid">w</a>',
    "<i hidden>x</i>w": "w",
    "<i hidden>x<i>y</i>z</i>w": "w",
    "<i hidden>`</i>`x</i>w": "",
    "<img alt=x src=https://a.invalid/b>": "(image)",
    "``` js x y\na\n```": "```\na\n```",
    "w &#x200B;&shy;w": "w w",
    "\x1b[31mred\x1b]0;x\x07": "red",
    "one\u2028two\u00ad": "one\ntwo",
    "<!--> <b hidden>x": "",
    "1. <!--\n```\nx-->y": "1.",
    "<div>\n<!--\n\nx\n-->y": "<div>",
    "List<String> of <T>": "List of",
}


@pytest.mark.parametrize("text", KEPT)
def test_what_is_shown_stays_as_it_is(text: str) -> None:
    assert shown(text, MUCH).text == text.strip()
    assert not shown(text, MUCH).removed


@pytest.mark.req("W17")
@pytest.mark.parametrize("text", GONE)
def test_what_is_not_shown_goes_and_is_counted(text: str) -> None:
    seen = shown(text, MUCH)
    assert seen.text == GONE[text]
    assert sum(seen.removed.values()) or "[r]" in text or text.startswith("one")


@pytest.mark.req("W17")
@pytest.mark.parametrize("name", [*ISSUES, *BODIES])
def test_no_hidden_word_of_the_corpus_is_left(name: str) -> None:
    count("texts with words that GitHub does not show")
    title, body, _ = ISSUES[name] if name in ISSUES else ("", BODIES[name], ())
    text = shown_title(title).text + shown(body, MUCH).text
    assert SECRET not in text
    assert SECRET not in body or left_out({"text": shown(body, MUCH)}).startswith("(Hidden text was removed: ")
    assert not any(map(hidden, text))


def test_signs_of_an_emoji_are_no_hidden_text_and_long_runs_of_them_are() -> None:
    assert not shown("Done ☎️ 1️⃣ 👩‍💻", MUCH).removed
    assert shown("☎" + "\ufe0f" * 9, MUCH).removed == {"invisible characters": 8}


def test_what_is_left_out_is_said_in_one_line_and_a_cut_in_another() -> None:
    parts = {"title": shown_title("a\u200b" + "b" * 300), "text": shown("<!-- x --> ![y](z)" + "w" * 100, 50)}
    assert left_out(parts) == (
        "(Hidden text was removed: 1 HTML comments, 1 descriptions or addresses of images, 1 invisible characters.)\n"
        "(The title was cut: 45 more characters are not shown.)\n"
        "(The text was cut: 57 more characters are not shown.)\n"
    )
    assert left_out({"title": shown_title("plain"), "text": shown("plain", 50)}) == ""


# --- time -----------------------------------------------------------------------------------------------------

SHAPES = [
    "<!--",
    "[[[[",
    "![",
    "](",
    '[a](b "',
    "[a](b '",
    "<a ",
    '<a "',
    '<a ">',
    "`a``b```",
    "`a` ",
    "`a` <",
    "&#x200b;",
    '[a]: b "\n',
    "[a\n",
    "<div hidden>",
    "](()",
    "<?",
    "~~~\n",
    "[^a]: x\n",
    "\x1b[",
    "<!-- -->",
    "![](",
    "<b hidden>`</b>",
    "\\",
    "- <!--\n",
    "> - > ",
    "![<b hidden></b>",
    "[ <b hidden></b>",
    "|-",
    "a|b\n-|-\n|c|d|e",
    "$x",
    "$\\$`",
    "[^a]: [^b]: ",
    "a[^a]\n    [^a]: x\n",
    "- ```mermaid\n",
    "[a](",
    "![a]",
]
LINES = [
    ("a\n" + " " * 65_536, "x"),
    ("> ", "["),
    ('x <a b="' + " " * 65_536, ">"),
    ("<!--\n", "--!>"),
    ("x " + '<a ">"' * 11_000, ""),
    ("**a**" + " " * 65_536, "x"),
    ("Approach\nFile:" + " " * 65_536, "x"),
]
"""Long runs, and what must come behind them."""


def seconds(text: str) -> float:
    begin = time.process_time()
    mini_plan(shown(text, MUCH).text)
    return time.process_time() - begin


@pytest.mark.parametrize(
    ("run", "end"), [*((shape, "") for shape in SHAPES), *LINES], ids=[*SHAPES, *(run[:18] + end for run, end in LINES)]
)
def test_the_time_grows_with_the_text_and_not_with_its_square(run: str, end: str) -> None:
    text = run * (65_536 // len(run) + 1)
    small, large = (text[:size] + end + "\n\n[a]: b" for size in (8_192, 65_536))
    assert min(seconds(large) for _ in range(2)) < 30 * min(seconds(small) for _ in range(3)) + 0.1


# --- against a reader of Markdown that others wrote -----------------------------------------------------------

PIECES = [
    "`",
    "``",
    "```",
    "```\n",
    "\n```\n",
    "~~~\n",
    "\n",
    "\n\n",
    "<!--",
    "-->",
    "<!-- X -->",
    "X",
    "X",
    "ok ",
    "> ",
    "- ",
    "\n- ",
    "\n> ",
    "1. ",
    "    ",
    "  ",
    "<div>",
    "</div>",
    "<div hidden>",
    "<b hidden>",
    "</b>",
    "[",
    "]",
    "(",
    ")",
    "![",
    "\\",
    '"',
    "'",
    "\n[a]: b ",
    "[a]",
    "|",
    "\n# ",
    '<b title="',
    '">',
    "<",
    "> ",
    ' "X")',
    '](b "X")',
    "\n|a|b|\n|-|-|\n|",
    "X|X|X",
    "[^a]",
    "`[^a]`",
    "\n\n[^a]: X\n",
    "```mermaid\n",
    "\n> ~~~math X\n",
    "\n|a|X|X|\n",
    "<pre>",
    "</pre>",
    "<?",
    "<!Y",
    "<a href='",
    "\t",
    "$",
    "&lt;",
    "* * *\n",
    "\n===\n",
    "<!-->",
]
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
TAG = re.compile(r"""<(/?)([A-Za-z][A-Za-z0-9-]*)((?:[^>"']|"[^"]*"|'[^']*')*)>""")
DRAWN = re.compile(r'(?s)<code class="language-(?:mermaid|math)">.*?</code>')
UNENDED = re.compile(r"<(?:!(?!--)|\?)[^>]*(?:>|$)")


def seen_in(html: str) -> str:
    """The words that a browser shows, languages of code and addresses of links among them, which may be footnotes."""
    html = DRAWN.sub("", html)
    out, at, hides, depth = re.findall(r'(?:language-|href=")([^" ]*)"', html), 0, "", 0
    while at < len(html):
        if html.startswith("<!--", at):
            early = re.compile(r"<!--(?:-?>)").match(html, at)
            end = html.find("-->", at + 4)
            if not early and end < 0:
                break
            at = early.end() if early else end + 3
        elif other := UNENDED.match(html, at):
            at = other.end()
        elif tag := TAG.match(html, at):
            name = tag[2].lower()
            if hides:
                depth += (-1 if tag[1] else 1) * (name == hides)
                hides = hides if depth else ""
            elif not tag[1] and re.search(r"\shidden(?=[\s=/]|$)", tag[3]):
                hides, depth = name, 1
            at = tag.end()
        else:
            out += [] if hides else html[at]
            at += 1
    return "".join(out)


@pytest.mark.req("W17")
@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_mixed_nothing_is_read_that_a_browser_would_not_show(seed: int) -> None:
    mix = random.Random(seed)
    for _ in range(1000):
        count = iter(range(100))
        text = re.sub("X", lambda _: f"X{next(count)}X", "".join(mix.choices(PIECES, k=mix.randint(2, 14))))  # noqa: B023
        left, visible = shown(text, MUCH).text, seen_in(MARKDOWN.render(text))
        assert [word for word in re.findall(r"X\d+X", left) if word not in visible] == [], text


@given(st.text(max_size=300), st.integers(1, 100))
def test_any_text_can_be_read_and_nothing_invisible_or_too_long_is_left(text: str, limit: int) -> None:
    seen = shown(text, limit)
    assert len(seen.text) <= limit
    assert not any(map(hidden, seen.text))
