"""A module per notebook, of the same name: `numbers` for the book's text, `table`, `draw`. What several share is in
`style`, `drawing`, `curves`, `ranks`, `tradeoff` and `film`; `animation` is for README.md."""
