"""A collector to look into: takes spans by OTLP as a real one does, keeps them, and shows a trace as a tree."""
