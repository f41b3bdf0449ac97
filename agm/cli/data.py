"""`agm data`: look at data sets, check them, and prepare the official ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agm.errors import AgmError

commands = typer.Typer(no_args_is_help=True, help="Look at data sets and check them.")


@commands.command("list")
def data_list() -> None:
    """The data sets that can be used here."""
    from agm import data
    from agm.data import bundled

    for name in (*data.PAPER_SETS, data.NATURAL):
        try:
            typer.echo(f"{name:14}ready in {data.locate(name)}")
        except AgmError:
            typer.echo(f"{name:14}not prepared; see data/{name}.md")
    for name, stand_in in bundled.STAND_INS.items():
        typer.echo(f"{name:14}bundled: {stand_in.description}")
    typer.echo(f"{'PATH':14}any folder of images, or a prepared set (images.tar and manifest.csv)")


@commands.command("verify")
def data_verify(
    dataset: Annotated[str, typer.Argument(help="A name from `agm data list`, or a path.")],
) -> None:
    """Read every image of a data set, check it against the manifest, and say how it splits."""
    from agm import data
    from agm.data.splits import split_indices

    images = data.load(dataset)
    train, validation, test = map(len, split_indices(images))
    typer.echo(f"{dataset}: {len(images)} images in {len(set(images.groups))} groups, all readable")
    repeated = len(images) - len(set(images.hashes))
    typer.echo(f"split: {train} train, {validation} validation, {test} test; {repeated} repeats left out")
    typer.echo(f"sha256 of all RGB bytes: {images.fingerprint}")


@commands.command("prepare")
def data_prepare(
    name: Annotated[str, typer.Argument(help="One of the paper's data sets, as `agm data list` names them.")],
    source: Annotated[
        Path, typer.Option(help="The official files: a folder, a .tgz, .tar or .zip, or a folder of these.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the prepared set. [default: data/NAME]")] = None,
    force: Annotated[bool, typer.Option(help="Replace another prepared set that is there.")] = False,
) -> None:
    """Make a prepared set from the official files."""
    from agm.data.official.prepare import prepare
    from agm.paths import data_folder

    folder = out or data_folder() / name
    card, new = prepare(name, source, folder, force)
    state = "prepared" if new else "is there already, unchanged"
    typer.echo(f"{card['title']}: {card['images']:,} images from {card['layout']} -> {folder} {state}")
    typer.echo(f"sha256 of all RGB bytes: {card['fingerprint']}")
