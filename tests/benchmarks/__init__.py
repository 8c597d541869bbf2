"""Speed and quality as ratios measured side by side in one run; nothing here is a test, nothing asserts a time."""
