"""Every glued number of the text leads to the cell of the notebook that made it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from docutils import nodes
from myst_nb.ext.glue.utils import PendingGlueReference
from sphinx.transforms.post_transforms import SphinxPostTransform


class LinkNumbers(SphinxPostTransform):
    """Before MyST-NB puts the numbers in."""

    default_priority = 4
    builders = ("html",)

    def run(self) -> None:
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") == "cell_code":
                cell["ids"].append(f"cell-{cell['cell_index']}")
        for number in list(self.document.findall(PendingGlueReference)):
            cells = _cells(Path(self.env.doc2path(number.refdoc))) if number.gtype == "text" else {}
            if (cell := cells.get(number.key)) is not None:
                page = self.app.builder.get_relative_uri(self.env.docname, number.refdoc)
                link = nodes.reference("", "", refuri=f"{page}#cell-{cell}", internal=True, classes=["made"])
                number.replace_self(link)
                link += number


@cache
def _cells(notebook: Path) -> dict[str, int]:
    """The name of each glued value of an executed notebook -> the number of its cell. Empty text is left out."""
    return {
        output["metadata"]["scrapbook"]["name"]: number
        for number, cell in enumerate(json.loads(notebook.read_text())["cells"])
        for output in cell.get("outputs", [])
        if "scrapbook" in output.get("metadata", {}) and "''" not in map("".join, output["data"].values())
    }
