"""Floor 3: placement solvers behind one Protocol."""
