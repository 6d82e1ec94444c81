"""The models: one small interface (base), the list of who implements it (registry), and an engine a module."""
