"""A module per notebook, of the same name: `numbers` for the book's text, `table`, `draw`. What several share is in
`style`, `drawing`, `curves`, `ranks`, `tradeoff`, `film` and `image_grid`; `animation` is for README.md."""
