"""Tables: what their columns are, and what holds between them."""
