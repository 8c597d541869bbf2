"""Files a person writes: read strictly, with a place for every fault."""
