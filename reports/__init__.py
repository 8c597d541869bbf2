"""Floor 3: self-contained HTML pages and the figures on them."""
