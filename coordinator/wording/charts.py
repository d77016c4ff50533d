"""Charts of a batch as SVG that stands in a page: no script, no address, nothing that is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pygal
from pygal.etree import etree
from pygal.style import Style

MOST = 30
"""Bars of one chart."""
LONGEST = 40
"""Letters of a bar's name."""
_GOOD, _BAD, _RUNNING, _WAITING, _STOPPED = "#2f855a", "#c53030", "#2b6cb0", "#a0aec0", "#6b46c1"
_STATES = (("good", _GOOD), ("bad", _BAD), ("running", _RUNNING), ("waiting", _WAITING), ("stopped", _STOPPED))
_SVG = "{http://www.w3.org/2000/svg}"


def charts(report: Mapping[str, Any]) -> dict[str, str]:
    """SVG by the name of the part that it belongs to; only those that have something to show."""
    made = {"timeline": _states(report["timeline"]["curve"]), "failures": _causes(report["failures"]),
            "learnings": _durations(report["learnings"]["durations"])}
    return {name: svg for name, svg in made.items() if svg}


def _states(curve: list[Mapping[str, Any]]) -> str:
    """How many stood where, over time."""
    if len(curve) < 2:
        return ""
    chart = pygal.DateTimeLine(
        **_usual("states", [colour for _, colour in _STATES]), title="States over time", x_label_rotation=20,
        x_value_formatter=lambda at: at.strftime("%H:%M:%S"), show_dots=len(curve) < 40, range=(0, _highest(curve)))
    for name, _ in _STATES:
        chart.add("failed" if name == "bad" else name,
                  [(datetime.fromisoformat(one["at"]), one[name]) for one in curve])
    return _drawn(chart)


def _highest(curve: list[Mapping[str, Any]]) -> int:
    return max(1, *(int(one[name]) for one in curve for name, _ in _STATES))


def _causes(failures: Mapping[str, Any]) -> str:
    bars = [(f"{one['code']}: {one['sample']}" if one["sample"] else str(one["code"]), float(len(one["members"])))
            for one in failures["causes"]]
    bars += [(f"{reason}, mended", float(len(ids))) for reason, ids in failures["earlier"].items()]
    return _bars("causes", "Failures by cause", bars[:MOST], _BAD)


def _durations(durations: Mapping[str, float]) -> str:
    longest = sorted(durations.items(), key=lambda one: (-one[1], one[0]))[:MOST]
    more = f", the longest {MOST}" if len(durations) > MOST else ""
    return _bars("durations", f"Durations in seconds{more}", longest, _RUNNING)


def _bars(name: str, title: str, bars: list[tuple[str, float]], colour: str) -> str:
    if not bars:
        return ""
    usual = _usual(name, [colour]) | {"height": 120 + 28 * len(bars)}
    chart = pygal.HorizontalBar(**usual, title=title, show_legend=False, truncate_label=LONGEST, print_values=True,
                                value_formatter=lambda value: f"{value:g}")
    chart.x_labels = [_fit(words) for words, _ in reversed(bars)]
    chart.add("", [value for _, value in reversed(bars)])
    return _drawn(chart)


def _fit(words: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in words)
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"


def _usual(name: str, colours: list[str]) -> dict[str, Any]:
    style = Style(background="transparent", plot_background="transparent", colors=tuple(colours),
                  font_family="sans-serif")
    return {"style": style, "js": [], "disable_xml_declaration": True, "width": 900, "height": 360,
            "legend_at_bottom": True, "classes": ("chart", name)}


def _drawn(chart: Any) -> str:
    """The library's own script goes, and its id by chance becomes one that is the same each time."""
    name = chart.config.classes[1]
    chart.uuid = name
    root = chart.render_tree()
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}script", "script") or not isinstance(child.tag, str):
                parent.remove(child)
    return str(etree.tostring(root, encoding="unicode"))
