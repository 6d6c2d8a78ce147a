"""The report's files: one HTML page that needs nothing else, its plots and its tables."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from toolbox.quantities import as_number
from toolbox.report.figures import Plot, styled
from toolbox.whole_file import write_whole

MOST_ROWS = 40  # of a table in the page; its file has them all
HERE = Path(__file__).parent
ANCHOR = re.compile(r'<a xlink:href="#([0-9a-f]+)"[^>]*>')


@dataclass(frozen=True)
class Table:
    """Rows of a table, and the name of its file.

    A row's "key" is its network's; in the page it opens the network.  in_page: or only a file.
    """

    name: str
    title: str
    rows: Sequence[Mapping[str, Any]]
    caption: str = ""
    in_page: bool = True

    @property
    def shown(self) -> Sequence[Mapping[str, Any]]:
        """The rows that the page has room for."""
        return self.rows[:MOST_ROWS]

    @property
    def columns(self) -> list[str]:
        return [name for name in self.rows[0] if name != "key"] if self.rows else []

    def csv(self) -> str:
        text = io.StringIO()
        columns = dict.fromkeys(column for row in self.rows for column in row)
        writer = csv.DictWriter(text, fieldnames=list(columns))
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


@dataclass(frozen=True)
class Section:
    """A part of the page: plots and tables under a heading.

    open: its points open in the panel beside it.
    """

    title: str
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()
    text: str = ""
    side_by_side: bool = False


@dataclass(frozen=True)
class Page:
    """All of a report.

    facts: the numbers at its top.  notes: what a reader must know first, such as that the search
    goes on.  networks: by key, what the panel shows of a network that is clicked: plain data.
    """

    title: str
    subtitle: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    sections: Sequence[Section]
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    declaration: str = ""
    sessions: Sequence[Mapping[str, str]] = ()


def write(page: Page, folder: Path) -> Path:
    """Write the page, report.html, with a PNG and an SVG of each plot and a CSV of each table.

    Every file is replaced whole, the page last.  Raises ValueError if the folder cannot be written.
    """
    files: dict[str, bytes] = {}
    drawn: dict[str, Markup] = {}
    for section in page.sections:
        for plot in section.plots:
            for kind in ("png", "svg"):
                files[f"{plot.name}.{kind}"] = _drawn(plot, kind)
            titles = {key: network["architecture"] for key, network in page.networks.items()}
            drawn[plot.name] = inline(files[f"{plot.name}.svg"].decode(), plot.title, titles)
        for table in section.tables:
            files[f"{table.name}.csv"] = table.csv().encode()
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    template = environment.get_template("report.html.jinja")
    html = template.render(page=page, drawn=drawn)
    files["report.html"] = html.encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise ValueError(f"{folder}: it cannot be written: {error.strerror}") from error
    return folder / "report.html"


def _drawn(plot: Plot, kind: str) -> bytes:
    content = io.BytesIO()
    with styled():
        if kind == "svg":
            metadata = {"Date": None, "Creator": None, "Title": plot.title}
            plot.figure.savefig(content, format="svg", dpi=110, metadata=metadata)
        else:
            plot.figure.savefig(content, format="png", dpi=150)
    return content.getvalue()


def inline(svg: str, title: str, titles: Mapping[str, str]) -> Markup:
    """A figure's SVG to stand in a page: one label, no names that another figure has too, and on
    each point that opens a network its architecture."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<title>.*?</title>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)

    def with_title(found: re.Match[str]) -> str:
        key = found[1]
        return f'<a href="#{key}"><title>{escape(titles.get(key, key))}</title>'

    return Markup(ANCHOR.sub(with_title, svg))


def cell(value: Any) -> str:
    """A value in a table.

    >>> cell(0.840512), cell(3264), cell("RC"), cell(None)
    ('0.8405', '3,264', 'RC', '')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return as_number(value)
