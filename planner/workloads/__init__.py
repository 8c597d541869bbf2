"""What runs on a cluster: transformer models, how they are trained and served, and what a step takes."""
