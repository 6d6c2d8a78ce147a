"""The report's files: one HTML page that needs nothing else, its plots and its tables."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from html import escape
from math import floor, isfinite, log10
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from toolbox.quantities import Quantity, as_number
from toolbox.report.figures import COLOURS, Plot, styled
from toolbox.whole_file import write_whole

MOST_ROWS = 200  # of a table in the page; its file has them all
HERE = Path(__file__).parent
# The colours of a figure that the page names, so that they follow light and dark.
THEMED = {
    "#1f2733": "--ink",
    "#4a5464": "--soft",
    "#e4e7ec": "--grid",
    "#8a93a3": "--edge",
    "#b9c2ce": "--faint",
    "#c9d3df": "--faint",
    "#ffffff": "--paper",
    "#000000": "--ink",
} | {colour.lower(): f"--c{number}" for number, colour in enumerate(COLOURS)}
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
        names = dict.fromkeys(name for row in self.rows for name in row)
        return [name for name in names if name != "key"]

    def column(self, name: str, quantities: Mapping[str, Quantity]) -> list[str]:
        """What the page shows of one column, with the units of what was measured."""
        return column_said([row.get(name) for row in self.shown], _meant(name, quantities))

    def csv(self) -> str:
        text = io.StringIO()
        columns = dict.fromkeys(column for row in self.rows for column in row)
        writer = csv.DictWriter(text, fieldnames=list(columns))
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


@dataclass(frozen=True)
class Fact:
    """A number at the top of the page.

    note: whose it is.  key: of the network that it opens; empty if it opens none.
    """

    name: str
    value: str
    note: str = ""
    key: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page: plots and tables under a heading.

    explored: it has the plot of all networks, too, that a person sets up in the page.  curves: it
    has the plot of the learning curves.
    """

    title: str
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()
    text: str = ""
    side_by_side: bool = False
    explored: bool = False
    curves: bool = False


@dataclass(frozen=True)
class Page:
    """All of a report.

    facts: the numbers at its top.  notes: what a reader must know first, such as that the search
    goes on.  networks: by key, what the panel shows of a network that is clicked: plain data.
    opened: the key of the one that it shows at first.  explored: of all networks, see all_networks.
    curves: see learning_curves.  quantities: what the names of columns mean.
    """

    title: str
    subtitle: str
    facts: Sequence[Fact]
    notes: Sequence[str]
    sections: Sequence[Section]
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    opened: str = ""
    explored: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Any] = field(default_factory=dict)
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    declaration: str = ""
    sessions: Sequence[Mapping[str, str]] = ()


def write(page: Page, folder: Path, after_plot: Callable[[], None] = lambda: None) -> Path:
    """Write the page, report.html, with a PNG and an SVG of each plot and a CSV of each table.

    Every file is replaced whole, the page last.  after_plot: called when one more is drawn.  Raises
    ValueError if the folder cannot be written.
    """
    files: dict[str, bytes] = {}
    drawn: dict[str, Markup] = {}
    for section in page.sections:
        for plot in section.plots:
            files |= {f"{plot.name}.{kind}": content for kind, content in _drawn(plot).items()}
            titles = {key: network["architecture"] for key, network in page.networks.items()}
            drawn[plot.name] = inline(files[f"{plot.name}.svg"].decode(), plot.title, titles)
            after_plot()
        for table in section.tables:
            files[f"{table.name}.csv"] = table.csv().encode()
    files["report.html"] = html_of(page, drawn).encode()
    ready_for_files(folder)
    try:
        for name, content in files.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise ValueError(f"{folder}: it cannot be written: {error.strerror}") from error
    return folder / "report.html"


def ready_for_files(folder: Path) -> None:
    """Make a folder if there is none.  Raises ValueError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder}: it cannot be written: {error.strerror}") from error


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


def html_of(page: Page, drawn: Mapping[str, Markup]) -> str:
    """The whole page.  drawn: its plots, by name, as `inline` returns them."""
    named = partial(heading, quantities=page.quantities)
    template = _environment().get_template("report.html.jinja")
    return template.render(page=page, drawn=drawn, heading=named)


def summary_of(page: Page) -> str:
    """The HTML of what stands at the top of the page: its title, notes and facts."""
    return _environment().get_template("summary.html.jinja").render(page=page)


def _drawn(plot: Plot) -> dict[str, bytes]:
    """The plot as the files of both kinds, by their endings."""
    options: dict[str, dict[str, Any]] = {
        "png": {"dpi": 150},
        "svg": {"dpi": 110, "metadata": {"Date": None, "Creator": None, "Title": plot.title}},
    }
    drawn = {}
    with styled():
        plot.figure.draw_without_rendering()
        plot.figure.set_layout_engine("none")  # each file would take the time of a layout again
        for kind, how in options.items():
            content = io.BytesIO()
            plot.figure.savefig(content, format=kind, **how)
            drawn[kind] = content.getvalue()
    return drawn


def inline(svg: str, title: str, titles: Mapping[str, str]) -> Markup:
    """A figure's SVG to stand in a page: one label, no names that another figure has too, and on
    each point that opens a network its architecture."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<title>.*?</title>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)

    for colour, name in THEMED.items():
        svg = re.sub(rf"(fill|stroke): {colour}\b", rf"\1: var({name})", svg)
    # A text without a colour of its own is black.
    svg = svg.replace("<svg ", '<svg fill="currentColor" ', 1)

    def with_title(found: re.Match[str]) -> str:
        key = found[1]
        return f'<a href="#{key}"><title>{escape(titles.get(key, key))}</title>'

    return Markup(ANCHOR.sub(with_title, svg))


def heading(name: str, quantities: Mapping[str, Quantity]) -> str:
    """The head of a column for a person.

    >>> from toolbox.quantities import QUANTITIES
    >>> heading("best params", QUANTITIES), heading("children", QUANTITIES)
    ('best parameters', 'children')
    >>> heading("val_accuracy, estimate", QUANTITIES)
    'validation accuracy, estimate'
    """
    found = _meant(name, quantities)
    if found is None:
        return name
    return name.replace(found.name, found.words)


def _meant(name: str, quantities: Mapping[str, Quantity]) -> Quantity | None:
    """The quantity of a column: `params`, or of one like `best params` or `params, mean`."""
    last = name.rpartition(" ")[2]
    return quantities.get(name) or quantities.get(last) or quantities.get(name.partition(",")[0])


def column_said(values: Sequence[Any], quantity: Quantity | None = None) -> list[str]:
    """The values of one column, with their unit, all with the same number of decimals.

    >>> column_said([0.7, 0.84051, None]), column_said([3264.0, 12]), column_said(["RC"])
    (['0.7000', '0.8405', ''], ['3,264', '12'], ['RC'])
    >>> column_said([0.0000699], Quantity("latency_seconds", unit="ms", scale=1000.0))
    ['0.06990 ms']
    """
    numbers = [value for value in values if _finite(value)]
    if quantity and quantity.percent:
        return [quantity.said(value) if _finite(value) else _word(value) for value in values]
    scale, unit = (quantity.scale, quantity.unit) if quantity else (1.0, "")
    shown = [abs(value * scale) for value in numbers if value]
    whole = all(float(number).is_integer() for number in shown)
    decimals = 0 if whole else min(6, max(0, 3 - floor(log10(max(shown)))))
    even = whole or min(shown) >= 0.5 * 10**-decimals  # otherwise the small ones would vanish
    texts = []
    for value in values:
        if not _finite(value):
            texts.append(_word(value))
            continue
        number = value * scale
        said = f"{number:,.{decimals}f}" if even else as_number(number)
        texts.append(f"{said} {unit}".rstrip())
    return texts


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _word(value: Any) -> str:
    """What is no number; of a NaN, nothing."""
    return value if isinstance(value, str) else ""
