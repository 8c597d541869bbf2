"""Routing: which links flows run over, by spraying, hashing, destination, given tables, or load.

Start with ``router_for(fabric).route(source, target, Spray())``.
"""
