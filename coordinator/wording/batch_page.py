"""The report of a batch as one page that is read offline: charts stand in it, and it fetches and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined

from coordinator.wording.batch_report import Code, Table, Words, parts, title
from coordinator.wording.charts import charts
from coordinator.wording.escape import clean

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{{ title|seen }}</title>
<style>
body { font: 16px/1.5 sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1a202c; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid #cbd5e0; padding: .2rem .6rem; text-align: left; vertical-align: top; }
pre { background: #edf2f7; overflow-x: auto; padding: .6rem; }
svg { height: auto; max-width: 100%; }
</style>
</head>
<body>
<h1>{{ title|seen }}</h1>
<p>As of {{ report.generated_at }}.</p>
{% for part in parts %}
<h2 id="{{ part.name }}">{{ part.title }}</h2>
{% for kind, block in part.blocks|kinds %}
{% if kind == "words" and block.each %}
<ul>{% for line in block.lines %}<li>{{ line|seen }}</li>{% endfor %}</ul>
{% elif kind == "words" %}
<p>{% for line in block.lines %}{{ line|seen }} {% endfor %}</p>
{% elif kind == "code" %}
<pre>{% for line in block.lines %}{{ line|seen }}
{% endfor %}</pre>
{% else %}
<table>
<tr>{% for cell in block.head %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in block.rows %}
<tr>{% for cell in row %}<td>{{ cell|seen }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% if block.more %}<p>… and {{ block.more }} more.</p>{% endif %}
{% endif %}
{% endfor %}
{% if part.name in charts %}
<figure>{{ charts[part.name]|safe }}</figure>
{% endif %}
{% endfor %}
</body>
</html>
"""
_KINDS = {Words: "words", Code: "code", Table: "table"}


def page(report: Mapping[str, Any]) -> str:
    """Every word in it is escaped; the charts alone are markup, made here."""
    room = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    room.filters["seen"] = lambda text: " ".join(clean(str(text)).split())
    room.filters["kinds"] = lambda blocks: [(_KINDS[type(block)], block) for block in blocks]
    return room.from_string(_PAGE).render(report=report, title=title(report), parts=parts(report),
                                          charts=charts(report))
