"""Sheets: style sheets that are read once for a theme, and not again for every new screen."""

from __future__ import annotations

from textual.css.stylesheet import Stylesheet


class Sheets(Stylesheet):
    """What Textual reads anew at each change is kept here until the theme's colours change."""

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._colours = variables

    def set_variables(self, variables: dict[str, str]) -> None:
        """Take a theme's colours, for which all is read again; the same ones change nothing."""
        if variables != self._colours:
            self._colours = variables
            super().set_variables(variables)

    def reparse(self) -> None:
        """Read what was not read with these colours."""
        self.parse()
