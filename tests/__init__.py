"""The tests of scaleplan; folders mirror the packages."""
