"""Pictures of fabrics as SVG: a few of each kind of node with the cables between them, and how many there are."""
