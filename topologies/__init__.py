"""Floor 1: fabrics as graphs, parts, generators, routing and file formats."""
