"""What several algorithms have in common, or what is too long for one of them."""
