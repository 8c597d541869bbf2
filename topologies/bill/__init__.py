"""The bill of a fabric: what it is made of, where it stands, what it costs and draws, and what a fault takes down."""
