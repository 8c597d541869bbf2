"""Generated placement problems, and what is measured on them."""
