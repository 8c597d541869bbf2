"""SVG text, put together from shapes; words that came from a user are escaped."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

__all__ = ["Svg"]

_STYLE = (
    "text{font:11px sans-serif;fill:#333}.n{font-size:9px;fill:#555;text-anchor:middle}.s{stroke:#333;stroke-width:.8}"
    "path{stroke:#789;stroke-opacity:.75;fill:none}.u{stroke:#b58}"
)
_MOST_BEND = 24.0


class Svg:
    """A picture that grows downwards and to the right."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._lines: list[str] = []
        self._shapes: list[str] = []
        self._width = self._height = 0.0

    def line(self, a: tuple[float, float], b: tuple[float, float], *, width: float, title: str, kind: str = "") -> None:
        """Add a line, bent where both ends lie at one height; lines lie below all shapes."""
        mark = f" class={quoteattr(kind)}" if kind else ""
        bend = min(abs(b[0] - a[0]) / 4, _MOST_BEND) if a[1] == b[1] else 0.0
        middle = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2 - 2 * bend
        self._lines.append(
            f'<path d="M{a[0]:.1f} {a[1]:.1f}Q{middle[0]:.1f} {middle[1]:.1f} {b[0]:.1f} {b[1]:.1f}" '
            f'stroke-width="{width:.1f}"{mark}><title>{escape(title)}</title></path>'
        )
        self._grow(max(a[0], b[0]), max(a[1], b[1]))

    def box(self, x: float, y: float, width: float, height: float, *, fill: str, title: str) -> None:
        """Add a box with its upper left corner at (x, y)."""
        self._shapes.append(
            f'<rect class="s" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{fill}">'
            f"<title>{escape(title)}</title></rect>"
        )
        self._grow(x + width, y + height)

    def text(self, x: float, y: float, words: str, *, small: bool = False) -> None:
        """Add words: from (x, y) to the right, or small ones around x."""
        mark = ' class="n"' if small else ""
        self._shapes.append(f'<text x="{x:.1f}" y="{y:.1f}"{mark}>{escape(words)}</text>')
        self._grow(x + (0 if small else 6.0 * len(words)), y)

    def _grow(self, x: float, y: float) -> None:
        self._width, self._height = max(self._width, x), max(self._height, y)

    def __str__(self) -> str:
        """Return the whole picture."""
        width, height = self._width + 8, self._height + 8
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
                f'width="{width:.0f}" role="img" aria-label={quoteattr(self.title)}>',
                f"<title>{escape(self.title)}</title><style>{_STYLE}</style>",
                f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
                *self._lines,
                *self._shapes,
                "</svg>\n",
            ]
        )
