"""Is the rebuilt graph the old one? Records of legacy graphs, and graphs held against them."""
